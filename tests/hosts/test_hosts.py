"""Three hosts with clocks that differ. ``make hosts`` runs more rounds, and goes beyond the clock skew."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.tree import ROOT
from tools.failover.cluster import VENV
from tools.hosts.races import Verdict


@pytest.mark.skipif(not VENV.exists(), reason="make failover installs libfaketime into .venv-failover")
@pytest.mark.parametrize(
    ("skew", "code", "verdict"),
    [
        ("9", 0, "GOOD: every promise held"),
        ("40", 3, "a purge makes no nonce good again: 1, first [2-4] accepted"),
    ],
)
def test_promises_hold_up_to_the_clock_skew_and_not_beyond(skew: str, code: int, verdict: str) -> None:
    command = [sys.executable, "-m", "tools.hosts", "--rounds", "1", "--skew", skew]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == code, done.stdout + done.stderr
    assert re.search(verdict, done.stdout), done.stdout


def test_a_broken_promise_is_a_bad_verdict() -> None:
    verdict = Verdict("processes")
    found = [verdict.good]  # nothing was tried
    verdict.judge("a nonce is accepted once", True, "1 accepted")
    found.append(verdict.good)
    verdict.judge("a nonce is accepted once", False, "2 accepted")
    found.append(verdict.good)
    assert found == [False, True, False]
    assert "a nonce is accepted once: 1, first 2 accepted" in str(verdict)
