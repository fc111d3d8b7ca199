"""Before ``migrate`` each command ends with a sentence that says so, and with no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.tree import ROOT

#: The exit code that each command must have.
COMMANDS = {
    ("securecore_certificates", "list"): 1,
    ("securecore_certificates", "enroll", "alice", "a" * 43): 1,
    ("securecore_keys", "list"): 1,
    ("securecore_purge",): 1,
    ("securecore_sessions", "end", "--all"): 1,
    ("securecore_grants", "callers", "x"): 1,
    ("securecore_prove",): 2,
}
#: One process runs all commands, since a second of each process would be the import of Django.
PROGRAM = """
import contextlib, io, json, sys
from django.core.management import execute_from_command_line

outcomes = []
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            code = execute_from_command_line(["manage.py", *command]) or 0
        except SystemExit as end:
            code = end.code
    outcomes.append([code, errors.getvalue()])
print("\\n" + json.dumps(outcomes))
"""


def test_command_before_migrate_names_migrate(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(list(COMMANDS))],
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
    assert (run.returncode, run.stderr) == (0, "")
    outcomes = json.loads(run.stdout.splitlines()[-1])
    for (command, code), (ended_with, errors) in zip(COMMANDS.items(), outcomes, strict=True):
        assert "Run manage.py migrate" in errors, command
        assert "Traceback" not in errors, command
        assert ended_with == code, command
