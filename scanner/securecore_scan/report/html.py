"""The HTML report: one file that loads nothing, runs no script, and escapes every text.

Categories are folded, so that the first screen shows the grade, the first repairs and the scores. The filter by
severity is made of radio buttons and CSS.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from securecore_scan.report import summary
from securecore_scan.report.document import mend_first

_STYLE = Path(__file__).with_name("page.css")
#: A mark beside each verdict, for quick reading.
_MARKS = {
    "PASS": "\u2713",
    "FAIL": "\u2717",
    "INCONCLUSIVE": "?",
    "SKIPPED": "\u2013",
    "NOT APPLICABLE": "\u2013",
    "ERROR": "!",
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
#: Findings that are not folded.
_FIRST = 5
#: The choices of the filter: each severity includes those above it. page.css hides the rest.
_FILTER = {
    "all": "All",
    "findings": "Findings",
    "high": "High",
    "critical": "Critical",
    "undecided": "Undecided",
}


def page(content: dict[str, Any]) -> str:
    """Return the report as a page."""
    title = f"Scan of {escape(content['url'])}"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>",
            f"<header><h1>{title}</h1>\n{_summary(content)}</header>\n<main>",
            _mend_first(content),
            '<section aria-labelledby="results"><h2 id="results">Results</h2>',
            _filter(),
            *_categories(content),
            f"</section>\n</main>\n<footer><p>{escape(summary.CLOSING)}</p></footer>\n</body>\n</html>\n",
        ]
    )


def _summary(content: dict[str, Any]) -> str:
    grade = content["grade"]
    lines = [f'<p class="grade{" none" if grade is None else ""}">{escape(summary.whole(content))}.</p>']
    if content["stopped"]:
        lines.append(f'<p class="stopped"><strong>Incomplete:</strong> {escape(content["stopped"])}.</p>')
    more = [summary.origin(content), summary.advice(content), *(f"Baseline: {note}" for note in content["notes"])]
    said = "".join(f"<p>{escape(sentence)}.</p>" for sentence in more if sentence)
    lines.append(f'<details class="about"><summary>{escape(summary.counts(content))}</summary>{said}</details>')
    return "\n".join(lines)


def _mend_first(content: dict[str, Any]) -> str:
    items = [
        f'<li class="{found["severity"]}"><span class="severity">{found["severity"]}</span> '
        f'<a href="#{_anchor(found)}">{escape(found["check"])} {escape(found["title"])}</a> '
        f'<span class="subject">{escape(", ".join(found["subjects"]))}</span></li>'
        for found in mend_first(content)
    ]
    first, rest = "\n".join(items[:_FIRST]), "\n".join(items[_FIRST:])
    listed = f"<ol>\n{first}\n</ol>" if first else "<p>No finding.</p>"
    if rest:
        more = f'<details class="about"><summary>{len(items) - _FIRST} more</summary>'
        listed += f'{more}<ol start="{_FIRST + 1}">\n{rest}\n</ol></details>'
    return f'<section aria-labelledby="first"><h2 id="first">Mend first</h2>\n{listed}\n</section>'


def _filter() -> str:
    choices = "\n".join(
        f'<label><input type="radio" name="show" id="show-{key}"{" checked" if key == "all" else ""}> {said}</label>'
        for key, said in _FILTER.items()
    )
    return f'<fieldset class="filter"><legend>Show</legend>\n{choices}\n</fieldset>'


def _categories(content: dict[str, Any]) -> Iterator[str]:
    """Yield each category that applies, and one fold with all others."""
    others = [one for one in content["categories"] if one["judgement"] == "not applicable"]
    yield from (_category(one) for one in content["categories"] if one not in others)
    if others:
        titles = escape(", ".join(one["title"] for one in others))
        yield f'<details class="category others"><summary>Not applicable: {titles}</summary>'
        yield from map(_category, others)
        yield "</details>"


def _category(category: dict[str, Any]) -> str:
    results, seen = [], set()
    for result in category["results"]:
        # A check with several subjects has one anchor.
        anchor = "" if result["check"] in seen else f' id="{_anchor(result)}"'
        seen.add(result["check"])
        results.append("\n".join(_result(result, anchor)))
    worked = sum(one["verdict"] == "FAIL" and not one["accepted"] for one in category["results"])
    found = f' <strong class="worked">{worked} worked</strong>' if worked else ""
    title = f'<h3 id="{category["id"]}">{escape(category["title"])}</h3>'
    return (
        f'<details class="category"><summary>{title} <span class="score">{_score(category)}</span>{found}</summary>\n'
        + "\n".join(results)
        + "\n</details>"
    )


def _score(category: dict[str, Any]) -> str:
    score, undecided = category["score"], category["applying"] - category["decided"]
    if score is None:
        return escape(summary.score(category))
    said = f"{score} of 100" + (f", {undecided} undecided" if undecided else "")
    name = f'aria-label="{escape(category["title"])}"'
    return f'<meter {name} min="0" max="100" low="60" high="99" optimum="100" value="{score}">{score}</meter> {said}'


def _anchor(result: dict[str, Any]) -> str:
    return f"check-{escape(result['check'])}"


def _result(result: dict[str, Any], anchor: str) -> Iterator[str]:
    verdict = result["verdict"]
    said = "ACCEPTED" if result["accepted"] else verdict
    kinds = f"{said.lower().replace(' ', '-')} severity-{result['severity']}"
    yield f'<details class="result {kinds}"{anchor}><summary><span class="verdict">{_MARKS[verdict]} {said}</span> '
    yield f'<span class="id">{escape(result["check"])}</span> {escape(result["title"])}'
    yield f' <span class="subject">{escape(result["subject"])}</span></summary>'
    evidence = "".join(f"<li>{escape(line)}</li>" for line in result["evidence"])
    yield f"<ul>{evidence}</ul><dl>"
    for term, value in _terms(result):
        yield f"<dt>{term}</dt><dd>{value}</dd>"
    yield "</dl></details>"


def _terms(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if result["accepted"]:
        yield "Accepted", escape(result["accepted"])
    yield "Severity", f"{escape(result['severity'])}, {escape(result['confidence'])} confidence"
    asvs = f"ASVS {', '.join(result['asvs'])}"
    yield "References", escape(", ".join([*result["cwe"], f"OWASP {result['owasp']}", asvs]))
    yield "Risk", escape(result["risk"])
    yield "Remedy", escape(result["remedy"])
    yield "With securecore", escape(result["securecore"])
    yield "Duration", f"{result['seconds']:.1f} s"
    yield "Repeat", f"<code>{escape(result['reproduce'])}</code>"
