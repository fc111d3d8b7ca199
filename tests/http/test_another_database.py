"""Every view of securecore under ATOMIC_REQUESTS, with its tables in another database than ``default``.

Each test runs in a new process, since a process opens the databases that its settings name at the start.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.tree import ROOT

_PROGRAM = "tests.http.another_database"


@pytest.mark.parametrize("view", ["token", "revoke", "introspect", "login", "logout", "sessions", "admin"])
def test_answers_and_commits(view: str) -> None:
    command = [sys.executable, "-m", _PROGRAM, view]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
