"""A finding is accepted with a reason and until a date."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from securecore_scan import baseline
from securecore_scan.baseline import BaselineError
from securecore_scan.outcomes import failed, inconclusive, passed
from securecore_scan.probes import CATALOGUE
from securecore_scan.results import Result
from tests.scanner.conftest import scanned

TODAY = dt.date(2027, 1, 15)
ENTRY = '[[accepted]]\ncheck = "SC-FIX-4"\nsubject = "POST /auth/login"\nreason = "PAY-1234"\nexpires = {}\n'


def result(check: str = "SC-FIX-4", *, worked: bool = True) -> Result:
    found = next(one for one in CATALOGUE if one.id == check)
    return Result(found, (failed if worked else passed)("POST /auth/login", "seen"), 0.1, "again")


def load(tmp_path: Path, text: str) -> list[baseline.Accepted]:
    path = tmp_path / "baseline.toml"
    path.write_text(text)
    return baseline.load(path)


def test_accepted_finding_does_not_count(tmp_path: Path) -> None:
    marked, notes = baseline.apply(
        [result(), result("SC-FIX-1")], load(tmp_path, ENTRY.format("2027-01-15")), today=TODAY
    )
    assert [one.is_finding for one in marked] == [False, True]
    assert marked[0].accepted == "PAY-1234 (until 2027-01-15)"
    assert notes == []


def test_expired_entry_does_not_accept(tmp_path: Path) -> None:
    marked, notes = baseline.apply([result()], load(tmp_path, ENTRY.format("2027-01-14")), today=TODAY)
    assert marked[0].is_finding
    assert "counts again" in notes[0]


def test_entry_for_a_repaired_fault_is_reported(tmp_path: Path) -> None:
    marked, notes = baseline.apply([result(worked=False)], load(tmp_path, ENTRY.format("2027-02-01")), today=TODAY)
    assert not marked[0].accepted
    assert "remove this entry" in notes[0]


@pytest.mark.parametrize("left", [[], [result("SC-FIX-1", worked=False)]], ids=["--only", "--skip"])
def test_entry_of_a_check_that_did_not_run_is_kept(tmp_path: Path, left: list[Result]) -> None:
    """An entry removed on bad advice would fail the next scan, and hide that the weakness is still there."""
    _, (note,) = baseline.apply(left, load(tmp_path, ENTRY.format("2027-02-01")), today=TODAY)
    assert "remove this entry" not in note
    assert "not decided" in note


def test_entry_of_an_undecided_check_is_kept(tmp_path: Path) -> None:
    undecided = dataclasses.replace(result(), outcome=inconclusive("POST /auth/login", "429"))
    _, (note,) = baseline.apply([undecided], load(tmp_path, ENTRY.format("2027-02-01")), today=TODAY)
    assert "not decided" in note


@pytest.mark.parametrize(
    "text",
    [
        ENTRY.format('"2027-01-15"'),
        ENTRY.format("2027-01-15T00:00:00"),
        ENTRY.format("2027-01-15").replace('"PAY-1234"', '" "'),
        ENTRY.format("2027-01-15").replace("reason", "why"),
        '[[accepted]]\ncheck = "SC-FIX-4"\nsubject = "x"\nexpires = 2027-01-15\n',
        "[accepted]\n",
        "[[ignored]]\n",
        "accepted = [",
    ],
)
def test_malformed_entry_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BaselineError):
        load(tmp_path, text)
    assert scanned("http://localhost:1", "--baseline", tmp_path / "baseline.toml").code == 2
