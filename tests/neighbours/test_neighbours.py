"""Apps of others, installed together as their manuals say; ``tests/sessions/test_neighbours.py`` has django-allauth.

They run in a new process, since a process installs the apps that its settings name at the start.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.neighbours.program import NAMES
from tests.support.tree import ROOT


@pytest.fixture(scope="module")
def failures() -> dict[str, str]:
    command = [sys.executable, "-m", "tests.neighbours.program"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return dict(json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.parametrize("name", NAMES)
def test_neighbour_works(failures: dict[str, str], name: str) -> None:
    assert not failures[name], failures[name]
