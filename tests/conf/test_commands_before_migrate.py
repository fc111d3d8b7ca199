"""Before ``migrate`` each command ends with a sentence that says so, and with no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tree import ROOT


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["securecore_certificates", "list"], 1),
        (["securecore_certificates", "enroll", "alice", "a" * 43], 1),
        (["securecore_keys", "list"], 1),
        (["securecore_purge"], 1),
        (["securecore_sessions", "end", "--all"], 1),
        (["securecore_grants", "callers", "x"], 1),
        (["securecore_prove"], 2),
    ],
    ids=str,
)
def test_command_before_migrate_names_migrate(arguments: list[str], code: int, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "TEST_DATABASE_URL": f"sqlite:///{tmp_path}/db",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "Run manage.py migrate" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.returncode == code
