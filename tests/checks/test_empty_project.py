"""The hints of ``manage.py check`` lead a project that only has the app in INSTALLED_APPS to a working one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.tree import ROOT


def test_hints_lead_an_empty_project_to_an_answered_request(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.checks.empty_project", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    guided = json.loads(run.stdout)
    assert not guided["fault"], guided
    # The admin of the project still accepts passwords.
    assert json.loads(guided["answered"].splitlines()[-1]) == [200, '{"user":"alice"}', "alice"], guided
    # Each finding of the empty project was followed, the missing tables last.
    assert {"E101", "E102", "W103", "W108", "W109", "W210", "E601", "W707", "W708", "W709", "W710"} <= set(
        guided["followed"]
    )
