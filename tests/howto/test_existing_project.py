"""The page about an existing project: people log in as before, and a session is of one certificate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.tree import ROOT


def test_project_with_session_login(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.howto.existing", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "client")))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == {
        "old id": 401,  # browser sessions end once
        "login": 302,
        "new id": {"user": "alice"},
        "under another certificate": {"user": "bob"},
        "program": {"user": "alice"},
    }
