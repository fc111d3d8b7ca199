"""For code scanning: SARIF 2.1.0, as GitHub reads it.

GitHub wants a place in the repository for each result: ``location`` names it, since a scan from outside sees no file.
What was not decided is sent for review, what held as passed. Accepted findings are suppressed, with their reason.
"""

from __future__ import annotations

from typing import Any

from securecore.scan.report.content import results_of

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HOME = "https://owasp.org/API-Security/editions/2023/en/0x11-t10/"
#: GitHub's scale: above 9.0 critical, 7.0 high, 4.0 medium, 0.1 low.
_SECURITY_SEVERITY = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0", "info": "0.0"}
_LEVEL = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_KIND = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "review", "SKIPPED": "notApplicable", "ERROR": "review"}


def log(content: dict[str, Any], *, location: str) -> dict[str, Any]:
    """Return the report as a SARIF log."""
    results = results_of(content)
    checks = {result["check"]: result for result in results}
    indexes = {check: index for index, check in enumerate(checks)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "securecore.scan", "rules": [_rule(found) for found in checks.values()]}},
                "automationDetails": {"id": "securecore-scan/"},
                "invocations": [_invocation(content)],
                "results": [_result(result, indexes[result["check"]], location) for result in results],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def _invocation(content: dict[str, Any]) -> dict[str, Any]:
    invocation: dict[str, Any] = {"executionSuccessful": content["complete"], "exitCode": content["exit_code"]}
    if content["stopped"]:
        message = {"text": f"The scan stopped: {content['stopped']}"}
        invocation["toolExecutionNotifications"] = [{"level": "error", "message": message}]
    return invocation


def _rule(check: dict[str, Any]) -> dict[str, Any]:
    cwe = [f"external/cwe/{name.lower()}" for name in check["cwe"]]
    return {
        "id": check["check"],
        "name": "".join(word.capitalize() for word in check["title"].replace("'", "").split()),
        "shortDescription": {"text": check["title"]},
        "fullDescription": {"text": check["risk"]},
        "help": {"text": f"{check['remedy']} With securecore: {check['securecore']}."},
        "helpUri": _HOME,
        "defaultConfiguration": {"level": _LEVEL[check["severity"]]},
        "properties": {
            "security-severity": _SECURITY_SEVERITY[check["severity"]],
            "precision": "high",
            "tags": ["security", *cwe, check["owasp"], *check["asvs"]],
        },
    }


def _result(result: dict[str, Any], index: int, location: str) -> dict[str, Any]:
    kind = _KIND[result["verdict"]]
    said = "; ".join([result["subject"] or result["title"], *result["evidence"]])
    found = {
        "ruleId": result["check"],
        "ruleIndex": index,
        "kind": kind,
        # The standard demands "none" for every kind but "fail" (3.27.10).
        "level": _LEVEL[result["severity"]] if kind == "fail" else "none",
        "message": {"text": said},
        "locations": [_location(result, location)],
        "partialFingerprints": {"securecoreScan/v1": result["fingerprint"]},
        "properties": {"confidence": result["confidence"], "reproduce": result["reproduce"]},
    }
    method, _, path = result["subject"].partition(" ")
    if path.startswith("/"):
        found["webRequest"] = {"method": method, "target": path}
    if result["accepted"]:
        found["suppressions"] = [{"kind": "external", "status": "accepted", "justification": result["accepted"]}]
    return found


def _location(result: dict[str, Any], location: str) -> dict[str, Any]:
    place: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": location}, "region": {"startLine": 1}},
    }
    if result["subject"]:
        place["logicalLocations"] = [{"fullyQualifiedName": result["subject"], "kind": "resource"}]
    return place
