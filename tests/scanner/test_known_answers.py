"""Known answers: a scan from the URL alone, without a plan, reports the expected findings and no others.

``make known-answers`` scans every service and writes the table of docs/scanner.md. Here the notes API runs, in this
process, and its rows are compared with the table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.scanner.conftest import Peer, Scanned, scanned
from tests.scanner.known import programs
from tests.scanner.known.notes import Notes
from tests.scanner.known.score import EXPECTED, Score, score, write_table, written_rows, written_table
from tests.scanner.peers.credentials import PASSWORD
from tests.scanner.service import serving

EVERY = os.environ.get("SECURECORE_SCAN_KNOWN_ANSWERS") == "1"
FORMS = ("weak", "mended")
SERVICES = [name for name in EXPECTED if EVERY or name == "notes"]
pytestmark = pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")


@pytest.fixture(scope="module")
def scores() -> Iterator[list[Score]]:
    collected: list[Score] = []
    yield collected
    if EVERY:
        write_table(collected)


def scan(service: str, form: str, start_service: Callable[..., Peer], monkeypatch: pytest.MonkeyPatch) -> Scanned:
    if service == "notes":
        with serving(Notes(weak=form == "weak").answer) as notes:
            return scanned(notes.url)
    peer = programs.start(service, form, start_service)
    if service in programs.OPEN:
        return scanned(peer.url)
    for variable in ("SECURECORE_SCAN_PASSWORD", "SECURECORE_SCAN_SECOND_PASSWORD"):
        monkeypatch.setenv(variable, PASSWORD)
    return scanned(peer.url, "--login", "alice", "--second-login", "bob")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("service", SERVICES)
def test_scan_without_a_plan_finds_the_known_faults(
    service: str,
    form: str,
    start_service: Callable[..., Peer],
    monkeypatch: pytest.MonkeyPatch,
    scores: list[Score],
) -> None:
    run = scan(service, form, start_service, monkeypatch)
    found = score(service, form, run)
    scores.append(found)
    assert found.missed == frozenset(), run.text
    assert found.false_alarms == frozenset(), run.text
    assert found.decided >= 2 / 3 * found.applying, run.text
    if not EVERY:
        assert found.row in written_table()


def test_table_of_the_manual_has_every_service() -> None:
    assert list(written_rows()) == [(name, form) for name in EXPECTED for form in FORMS]
    assert "not scanned" not in written_table()
