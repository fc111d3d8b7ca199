"""The text report, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from securecore_scan.report import summary
from securecore_scan.report.document import mend_first

_WIDTH = 118
#: Verdicts that say nothing of a route: checks with the same reason share one entry.
_FOLDED = ("SKIPPED", "NOT APPLICABLE")


def page(content: dict[str, Any]) -> str:
    """Return the report as text."""
    return "\n".join(_lines(content)) + "\n"


def _lines(content: dict[str, Any]) -> Iterator[str]:
    yield summary.origin(content)
    yield from _wrapped(f"{summary.whole(content)}.", "")
    if content["stopped"]:
        yield from _wrapped(f"INCOMPLETE: the scan stopped, {content['stopped']}.", "")
    yield from _mend_first(content)
    for category in content["categories"]:
        yield ""
        yield f"{category['title']:<60}{summary.score(category)}"
        for result in category["results"]:
            if result["subject"] or result["verdict"] not in _FOLDED:
                yield from _result(result)
        for verdict in _FOLDED:
            yield from _folded([one for one in category["results"] if one["verdict"] == verdict and not one["subject"]])
    yield ""
    yield from _wrapped(summary.CLOSING, "")
    for note in content["notes"]:
        yield from _wrapped(f"Baseline: {note}.", "")
    if advice := summary.advice(content):
        yield from _wrapped(f"{advice}.", "")
    yield summary.counts(content)


def _mend_first(content: dict[str, Any]) -> Iterator[str]:
    findings = mend_first(content)
    if not findings:
        return
    yield ""
    yield "Mend first"
    for number, found in enumerate(findings, 1):
        where = ", ".join(found["subjects"])
        yield f"  {number:>2}. {found['severity']:<9}{found['check']:<13}{found['title']}  {where}"
        yield from _wrapped(found["remedy"], " " * 15)


def _result(result: dict[str, Any]) -> Iterator[str]:
    verdict = "ACCEPTED" if result["accepted"] else result["verdict"]
    took = f"{result['seconds']:.1f} s"
    yield f"  {verdict:<15}{result['check']:<13}{took:>7}  {result['title']}  {result['subject']}".rstrip()
    for evidence in result["evidence"]:
        yield from _wrapped(evidence, " " * 15)
    if result["accepted"]:
        yield from _wrapped(f"accepted: {result['accepted']}", " " * 15)
    elif result["verdict"] == "FAIL":
        names = ", ".join([*result["cwe"], f"OWASP {result['owasp']}", f"ASVS {', '.join(result['asvs'])}"])
        yield from _wrapped(f"{result['severity']}, {result['confidence']} confidence, {names}", " " * 15)
        yield from _wrapped(f"risk: {result['risk']}", " " * 15)
        yield from _wrapped(f"remedy: {result['remedy']}", " " * 15)
        yield from _wrapped(f"with securecore: {result['securecore']}", " " * 15)
        yield f"{' ' * 15}repeat: {result['reproduce']}"


def _folded(results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield one entry for all checks with the same verdict and reason."""
    checks: dict[str, list[str]] = {}
    for result in results:
        checks.setdefault("; ".join(result["evidence"]), []).append(result["check"])
    for reason, found in checks.items():
        verdict = results[0]["verdict"]
        yield from _wrapped(f"  {verdict:<15}{', '.join(dict.fromkeys(found))}", "", " " * 17)
        yield from _wrapped(reason, " " * 15)


def _wrapped(sentence: str, indent: str, further: str | None = None) -> list[str]:
    further = further if further is not None else indent and indent + "  "
    return textwrap.wrap(sentence, _WIDTH, initial_indent=indent, subsequent_indent=further, break_on_hyphens=False)
