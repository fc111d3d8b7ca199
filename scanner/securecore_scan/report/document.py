"""The JSON document from which every other format is made."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

from securecore_scan.checks import Check, Severity
from securecore_scan.outcomes import Confidence
from securecore_scan.results import Report, Result

#: The number changes when a program that reads the document must change too.
FORMAT = "securecore-scan/2"


def build(report: Report, *, exit_code: int) -> dict[str, Any]:
    """Return the report as plain values."""
    return {
        "format": FORMAT,
        "version": _version(),
        "url": report.url,
        "date": report.began.isoformat(timespec="seconds"),
        "grade": report.grade,
        "decided": report.decided()[0],
        "applying": report.decided()[1],
        "not_judged": report.not_judged,
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
                "judgement": report.judgement(key).value,
                "decided": report.decided(key)[0],
                "applying": report.decided(key)[1],
                "score": report.score(key),
                "results": [_result(one) for one in results],
            }
            for key, title, results in report.categories()
        ],
    }


def mend_first(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the findings that count, the most severe and surest first, each check once with all its subjects."""
    findings: dict[str, dict[str, Any]] = {}
    for result in all_results(content):
        if result["verdict"] == "FAIL" and not result["accepted"]:
            entry = findings.setdefault(result["check"], {**result, "subjects": []})
            entry["subjects"].append(result["subject"])
    severities, confidences = [one.label for one in Severity], [one.value for one in Confidence]
    return sorted(
        findings.values(),
        key=lambda one: (-severities.index(one["severity"]), -confidences.index(one["confidence"])),
    )


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


def _version() -> str:
    """Return the version of the installed distribution. A checkout that is not installed has none."""
    try:
        return metadata.version("securecore-scan")
    except metadata.PackageNotFoundError:
        return "not installed"


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
