"""Precision and recall of a scan against the expected findings, and the table of docs/scanner.md."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.scanner.conftest import ROOT, Scanned

EXPECTED = tomllib.loads((Path(__file__).with_name("expected.toml")).read_text())
MANUAL = ROOT / "docs" / "scanner.md"
BEGIN, END = "<!-- known answers: written by make known-answers -->\n", "<!-- known answers: end -->\n"
HEAD = "| service | form | expected | found | precision | recall | decided |\n|---|---|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Score:
    """The findings of one scan beside the expected ones."""

    service: str
    form: str
    expected: frozenset[str]
    found: frozenset[str]
    decided: int
    applying: int

    @property
    def missed(self) -> frozenset[str]:
        return self.expected - self.found

    @property
    def false_alarms(self) -> frozenset[str]:
        return self.found - self.expected

    @property
    def row(self) -> str:
        right = len(self.expected & self.found)
        precision = f"{right / len(self.found):.0%}" if self.found else "no finding"
        recall = f"{right / len(self.expected):.0%}" if self.expected else "none expected"
        share = f"{self.decided} of {self.applying}"
        counts = f"{len(self.expected)} | {len(self.found)}"
        return f"| {self.service} | {self.form} | {counts} | {precision} | {recall} | {share} |\n"


def score(service: str, form: str, run: Scanned) -> Score:
    """Compare a scan with expected.toml."""
    expected = frozenset(EXPECTED[service][form]["findings"])
    # A check has one result for each route: one that fails is enough.
    found = frozenset(result["check"] for result in run.results if result["verdict"] == "FAIL")
    return Score(service, form, expected, found, run.content["decided"], run.content["applying"])


def written_table() -> str:
    """Return the table of the manual."""
    return MANUAL.read_text().split(BEGIN)[1].split(END)[0]


def written_rows() -> dict[tuple[str, str], str]:
    """Return the rows of the table by service and form."""
    rows = written_table().splitlines(keepends=True)[2:]
    return {(cells[1].strip(), cells[2].strip()): row for row in rows if (cells := row.split("|"))}


def write_table(scores: list[Score]) -> None:
    """Write the table into the manual. A service that was not scanned keeps its row."""
    before, rest = MANUAL.read_text().split(BEGIN)
    after = rest.split(END)[1]
    rows = {key: row for key, row in written_rows().items() if key[0] in EXPECTED}
    for name, forms in EXPECTED.items():
        for form, expected in forms.items():
            rows.setdefault((name, form), f"| {name} | {form} | {len(expected['findings'])} | not scanned | | | |\n")
    rows |= {(one.service, one.form): one.row for one in scores}
    order = list(EXPECTED)
    listed = sorted(rows, key=lambda key: order.index(key[0]))
    MANUAL.write_text(before + BEGIN + HEAD + "".join(rows[key] for key in listed) + END + after)
