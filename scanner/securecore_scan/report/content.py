"""The document that every other form is made of. Its version changes when a reader would notice."""

from __future__ import annotations

from typing import Any

from securecore_scan.runner import Report
from securecore_scan.verdict import Check, Result

FORMAT = "securecore-scan/1"


def described(report: Report, *, exit_code: int) -> dict[str, Any]:
    """Return the report as plain values."""
    return {
        "format": FORMAT,
        "url": report.url,
        "complete": report.is_complete,
        "stopped": report.stopped,
        "exit_code": exit_code,
        "seconds": round(report.seconds, 2),
        "requests": report.requests,
        "found": report.routes,
        "notes": list(report.notes),
        "categories": [
            {
                "id": key,
                "title": title,
                "score": report.score(key),
                "results": [_result(one) for one in results],
            }
            for key, title, results in report.categories()
        ],
    }


def results_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results of all categories."""
    return [result for category in content["categories"] for result in category["results"]]


def _result(result: Result) -> dict[str, Any]:
    return {
        **_check(result.check),
        "verdict": result.seen.verdict.value,
        "confidence": result.seen.confidence.value,
        "subject": result.seen.subject,
        "evidence": list(result.seen.evidence),
        "accepted": result.accepted,
        "seconds": round(result.seconds, 3),
        "reproduce": result.reproduce,
        "fingerprint": result.fingerprint,
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "check": check.id,
        "title": check.title,
        "category": check.category,
        "severity": check.severity.label,
        "cwe": [f"CWE-{number}" for number in check.cwe],
        "owasp": check.owasp,
        "asvs": [f"v5.0.0-{requirement}" for requirement in check.asvs],
        "risk": check.risk,
        "remedy": check.remedy,
        "securecore": check.securecore,
    }
