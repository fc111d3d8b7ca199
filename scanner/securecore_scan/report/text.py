"""The text report, for a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import Any

from securecore_scan.report.document import all_results

_WIDTH = 118
CLOSING = (
    "PASS means that the attack did not work in the rounds that were tried. It does not rule out other attacks or "
    "rarer races."
)


def page(content: dict[str, Any]) -> str:
    """Return the report as text."""
    return "\n".join(_lines(content)) + "\n"


def _lines(content: dict[str, Any]) -> Iterator[str]:
    yield f"{content['url']}  ({content['requests']} requests in {content['seconds']:.1f} s)"
    for category in content["categories"]:
        score = "not decided" if category["score"] is None else f"{category['score']} of 100"
        yield ""
        yield f"{category['title']:<60}{score}"
        for result in category["results"]:
            yield from _result(result)
    yield ""
    yield from _wrapped(CLOSING, "")
    for note in content["notes"]:
        yield from _wrapped(f"Baseline: {note}.", "")
    if content["stopped"]:
        yield from _wrapped(f"INCOMPLETE: the scan stopped, {content['stopped']}.", "")
    counts = Counter(result["verdict"] for result in all_results(content))
    yield ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items())) or "no check ran"


def _result(result: dict[str, Any]) -> Iterator[str]:
    verdict = "ACCEPTED" if result["accepted"] else result["verdict"]
    took = f"{result['seconds']:.1f} s"
    yield f"  {verdict:<13}{result['check']:<13}{took:>7}  {result['title']}  {result['subject']}".rstrip()
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


def _wrapped(sentence: str, indent: str) -> list[str]:
    return textwrap.wrap(
        sentence, _WIDTH, initial_indent=indent, subsequent_indent=indent and indent + "  ", break_on_hyphens=False
    )
