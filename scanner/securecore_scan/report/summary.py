"""The first sentences of every report for people: the target, the grade or why there is none, and the counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from securecore_scan.report.document import all_results

CLOSING = (
    "PASS means that the attack did not work in the rounds that were tried. It does not rule out other attacks or "
    "rarer races."
)


def origin(content: dict[str, Any]) -> str:
    """Return target, date, version and duration of the scan in one line."""
    when = content["date"].replace("T", " ").replace("+00:00", " UTC")
    return (
        f"{content['url']}, {when}, securecore-scan {content['version']}, "
        f"{content['requests']} requests in {content['seconds']:.1f} s"
    )


def whole(content: dict[str, Any]) -> str:
    """Return the grade, or the reason why there is none."""
    decided = f"{content['decided']} of {content['applying']} checks that apply were decided"
    if content["grade"]:
        return f"Grade {content['grade']}: {decided}"
    if content["stopped"]:
        return f"No grade: the scan is incomplete; {decided}"
    if content["not_judged"]:
        return f"No grade: not judged: {', '.join(content['not_judged'])}; {decided}"
    return f"No grade: a grade needs every category, TLS among them; {decided}"


def counts(content: dict[str, Any]) -> str:
    """Return the number of results of each verdict, such as ``3 FAIL, 20 PASS``."""
    found = Counter("ACCEPTED" if one["accepted"] else one["verdict"] for one in all_results(content))
    return ", ".join(f"{number} {verdict}" for verdict, number in sorted(found.items())) or "no check ran"


def score(category: dict[str, Any]) -> str:
    """Return the score of a category, or the reason why it has none."""
    if category["judgement"] == "not applicable":
        return "not applicable"
    decided = f"{category['decided']} of {category['applying']} decided"
    if category["score"] is None:
        return f"{category['judgement']} ({decided})"
    return f"{category['score']} of 100 ({decided})"


def advice(content: dict[str, Any]) -> str:
    """Return the next step that would decide more checks, or an empty text."""
    undecided = [one for one in all_results(content) if one["verdict"] in ("SKIPPED", "INCONCLUSIVE")]
    if not content["not_judged"] or not undecided:
        return ""
    init = f"`securecore-scan init {content['url']}`"
    return (
        f"{len(undecided)} checks are undecided: {init} says which entries of a plan would decide them. If the service "
        f"has no such routes, leave the categories out: {_skipping(content)}"
    )


def _skipping(content: dict[str, Any]) -> str:
    """Return the options that leave out the categories that were not judged, such as ``--skip SC-RACE``."""
    left = [one for one in content["categories"] if one["title"] in content["not_judged"]]
    prefixes = dict.fromkeys(result["check"].rpartition("-")[0] for category in left for result in category["results"])
    return " ".join(f"--skip {prefix}" for prefix in prefixes)
