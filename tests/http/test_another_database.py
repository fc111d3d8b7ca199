"""Every view of securecore under ATOMIC_REQUESTS, with its tables in another database than ``default``.

The views run in a new process, since a process opens the databases that its settings name at the start.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.http.another_database import VIEWS
from tests.support.tree import ROOT


@pytest.fixture(scope="module")
def failures() -> dict[str, str]:
    command = [sys.executable, "-m", "tests.http.another_database"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return dict(json.loads(ran.stdout))


@pytest.mark.parametrize("view", VIEWS)
def test_view_answers_and_commits(failures: dict[str, str], view: str) -> None:
    assert not failures.get(view), failures[view]
