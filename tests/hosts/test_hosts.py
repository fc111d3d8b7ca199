"""Three hosts with clocks that differ. ``make hosts`` runs more rounds, and goes beyond the clock skew."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.support.tree import ROOT
from tools.failover.cluster import VENV
from tools.hosts.races import Verdict


#: Three rounds: each host is the one that issues, and the one that revokes.
@pytest.mark.skipif(not VENV.exists(), reason="make failover installs libfaketime into .venv-failover")
@pytest.mark.parametrize(
    ("skew", "code", "verdict"),
    [
        ("5", 0, "GOOD: every promise held"),
        ("40", 3, "a purge makes no nonce good again: 3, first [2-4] accepted"),
    ],
)
def test_promises_hold_up_to_the_clock_skew_and_not_beyond(skew: str, code: int, verdict: str) -> None:
    command = [sys.executable, "-m", "tools.hosts", "--rounds", "3", "--skew", skew]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == code, done.stdout + done.stderr
    assert re.search(verdict, done.stdout), done.stdout


@pytest.mark.skipif(not VENV.exists() or os.geteuid() != 0, reason="network namespaces need root; make hosts runs it")
def test_the_race_suite_runs_on_three_hosts() -> None:
    command = [sys.executable, "-m", "tools.hosts", "--races", "tests/races/test_hosts.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_broken_promise_is_a_bad_verdict() -> None:
    verdict = Verdict("processes")
    found = [verdict.good]  # nothing was tried
    verdict.judge("a nonce is accepted once", True, "1 accepted")
    found.append(verdict.good)
    verdict.judge("a nonce is accepted once", False, "2 accepted")
    found.append(verdict.good)
    assert found == [False, True, False]
    assert "a nonce is accepted once: 1, first 2 accepted" in str(verdict)
