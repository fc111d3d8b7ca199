"""The report as SARIF 2.1.0, for GitHub code scanning.

GitHub demands a file of the repository for each result. A scan from outside sees no file, so --location names one.
GitHub opens an alert for every result, whether it is suppressed or not (microsoft/PSRule#955). Results are therefore
only findings that the baseline does not accept. Accepted, skipped, inconclusive and erroneous checks become
notifications. Every check of the scan is listed as a rule.
"""

from __future__ import annotations

from typing import Any

from securecore_scan.report.document import all_results

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HOME = "https://owasp.org/API-Security/editions/2023/en/0x11-t10/"
#: GitHub reads above 9.0 as critical, from 7.0 as high, from 4.0 as medium, from 0.1 as low.
_SECURITY_SEVERITY = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "2.0", "info": "0.0"}
_LEVEL = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_NOTIFIED = {"FAIL": "note", "INCONCLUSIVE": "warning", "SKIPPED": "note", "NOT APPLICABLE": "none", "ERROR": "error"}


def log(content: dict[str, Any], *, location: str) -> dict[str, Any]:
    """Return the report as a SARIF log."""
    results = all_results(content)
    checks = {result["check"]: result for result in results}
    indexes = {check: index for index, check in enumerate(checks)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "securecore-scan", "rules": [_rule(found) for found in checks.values()]}},
                "automationDetails": {"id": "securecore-scan/"},
                "invocations": [_invocation(content, [found for found in results if not _counts(found)])],
                "results": [_result(found, indexes[found["check"]], location) for found in results if _counts(found)],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def _counts(result: dict[str, Any]) -> bool:
    return result["verdict"] == "FAIL" and not result["accepted"]


def _invocation(content: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    notifications = [_notification(other) for other in others if other["verdict"] != "PASS"]
    if content["stopped"]:
        notifications.append({"level": "error", "message": {"text": f"The scan stopped: {content['stopped']}"}})
    return {
        "executionSuccessful": content["complete"],
        "exitCode": content["exit_code"],
        "toolExecutionNotifications": notifications,
    }


def _notification(result: dict[str, Any]) -> dict[str, Any]:
    verdict = f"accepted: {result['accepted']}" if result["accepted"] else result["verdict"]
    return {
        "level": _NOTIFIED[result["verdict"]],
        "message": {"text": f"{result['check']} {verdict}: {_message(result)}"},
        "associatedRule": {"id": result["check"]},
    }


def _message(result: dict[str, Any]) -> str:
    return "; ".join([result["subject"] or result["title"], *result["evidence"]])


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
    found = {
        "ruleId": result["check"],
        "ruleIndex": index,
        "kind": "fail",
        "level": _LEVEL[result["severity"]],
        "message": {"text": _message(result)},
        "locations": [_location(result, location)],
        "partialFingerprints": {"securecoreScan/v1": result["fingerprint"]},
        "properties": {"confidence": result["confidence"], "reproduce": result["reproduce"]},
    }
    method, _, path = result["subject"].partition(" ")
    if path.startswith("/"):
        found["webRequest"] = {"method": method, "target": path}
    return found


def _location(result: dict[str, Any], location: str) -> dict[str, Any]:
    place: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": location}, "region": {"startLine": 1}},
    }
    if result["subject"]:
        place["logicalLocations"] = [{"fullyQualifiedName": result["subject"], "kind": "resource"}]
    return place
