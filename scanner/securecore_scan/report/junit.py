"""The report as JUnit XML: each category is a test suite, each result a test case."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree as Xml

#: Characters that XML 1.0 does not allow, not even escaped.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def suites(content: dict[str, Any]) -> str:
    """Return the report as JUnit XML."""
    root = Xml.Element("testsuites", name="securecore-scan", time=str(content["seconds"]))
    for category in content["categories"]:
        results = category["results"]
        counts = Counter(_outcome(result) for result in results)
        suite = Xml.SubElement(
            root,
            "testsuite",
            name=category["title"],
            tests=str(len(results)),
            failures=str(counts["failure"]),
            errors=str(counts["error"]),
            skipped=str(counts["skipped"]),
            time=str(round(sum(result["seconds"] for result in results), 3)),
        )
        for result in results:
            _case(suite, result)
    if content["stopped"]:
        suite = Xml.SubElement(root, "testsuite", name="The scan", tests="1", failures="0", errors="1", skipped="0")
        case = Xml.SubElement(suite, "testcase", classname="securecore_scan", name="runs to its end")
        Xml.SubElement(case, "error", message=_clean(content["stopped"]))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _case(suite: Xml.Element, result: dict[str, Any]) -> None:
    name = _clean(f"{result['check']} {result['title']} {result['subject']}".strip())
    case = Xml.SubElement(
        suite, "testcase", classname=f"securecore_scan.{result['category']}", name=name, time=str(result["seconds"])
    )
    outcome, said = _outcome(result), _clean("; ".join(result["evidence"]))
    if outcome is None:
        Xml.SubElement(case, "system-out").text = said
        return
    child = Xml.SubElement(case, outcome, message=f"{result['verdict']}: {said}")
    if outcome == "failure":
        child.set("type", result["severity"])
        child.text = _clean("\n".join([result["risk"], result["remedy"], result["securecore"], result["reproduce"]]))


def _outcome(result: dict[str, Any]) -> str | None:
    if result["accepted"]:
        return "skipped"
    kinds = {
        "FAIL": "failure",
        "ERROR": "error",
        "INCONCLUSIVE": "skipped",
        "SKIPPED": "skipped",
        "NOT APPLICABLE": "skipped",
    }
    return kinds.get(result["verdict"])


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
