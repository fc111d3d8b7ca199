"""The JSON document from which every other format is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from securecore_scan.checks import Check
from securecore_scan.results import Report, Result

#: The number changes when a program that reads the document must change too.
FORMAT = "securecore-scan/1"


def build(report: Report, *, exit_code: int) -> dict[str, Any]:
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


def all_results(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results of all categories."""
    return [result for category in content["categories"] for result in category["results"]]


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of a JSON-like value in which ``change`` was applied to every text, except keys of objects."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: map_texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [map_texts(item, change) for item in value]
    return value


def _result(result: Result) -> dict[str, Any]:
    return {
        **_check(result.check),
        "verdict": result.outcome.verdict.value,
        "confidence": result.outcome.confidence.value,
        "subject": result.outcome.subject,
        "evidence": list(result.outcome.evidence),
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
