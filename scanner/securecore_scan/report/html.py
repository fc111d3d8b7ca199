"""The HTML report: one file that loads nothing, runs no script, and escapes every text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from securecore_scan.report.document import all_results
from securecore_scan.report.text import CLOSING

_STYLE = Path(__file__).with_name("page.css")
#: A mark beside each verdict, for quick reading.
_MARKS = {"PASS": "\u2713", "FAIL": "\u2717", "INCONCLUSIVE": "?", "SKIPPED": "\u2013", "ERROR": "!"}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


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
            _scores(content),
            *(_category(category) for category in content["categories"]),
            f"</main>\n<footer><p>{escape(CLOSING)}</p></footer>\n</body>\n</html>\n",
        ]
    )


def _summary(content: dict[str, Any]) -> str:
    counts = Counter(result["verdict"] for result in all_results(content))
    said = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items())) or "no check ran"
    lines = [f"<p>{said}. {content['requests']} requests in {content['seconds']:.1f} seconds.</p>"]
    if content["stopped"]:
        lines.append(f'<p class="stopped"><strong>Incomplete:</strong> {escape(content["stopped"])}.</p>')
    lines += [f"<p>Baseline: {escape(note)}.</p>" for note in content["notes"]]
    return "\n".join(lines)


def _scores(content: dict[str, Any]) -> str:
    rows = []
    for category in content["categories"]:
        link = f'<a href="#{category["id"]}">{escape(category["title"])}</a>'
        rows.append(f'<tr><th scope="row">{link}</th><td>{_score(category)}</td></tr>')
    head = '<thead><tr><th scope="col">Category</th><th scope="col">Score</th></tr></thead>'
    return (
        f'<section aria-labelledby="scores"><h2 id="scores">Scores</h2>\n<table>{head}<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></section>"
    )


def _score(category: dict[str, Any]) -> str:
    score, results = category["score"], category["results"]
    if score is None:
        return "not decided"
    worked = sum(result["verdict"] == "FAIL" and not result["accepted"] for result in results)
    meter = f'<meter min="0" max="100" low="60" high="99" optimum="100" value="{score}">{score} of 100</meter>'
    said = (
        f'<strong class="worked">{worked} of {len(results)} attacks worked</strong>' if worked else "no attack worked"
    )
    return f"{meter} {score} of 100, {said}"


def _category(category: dict[str, Any]) -> str:
    key = category["id"]
    results = "\n".join("\n".join(_result(result)) for result in category["results"])
    return f'<section aria-labelledby="{key}"><h2 id="{key}">{escape(category["title"])}</h2>\n{results}\n</section>'


def _result(result: dict[str, Any]) -> Iterator[str]:
    verdict = result["verdict"]
    said = "ACCEPTED" if result["accepted"] else verdict
    is_open = " open" if verdict == "FAIL" and not result["accepted"] else ""
    yield f'<details class="{said.lower()}"{is_open}><summary><span class="verdict">{_MARKS[verdict]} {said}</span> '
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
