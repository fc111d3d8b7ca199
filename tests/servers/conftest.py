from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from securecore.testing import Authority
from tests.support.tree import ROOT


@pytest.fixture(scope="session")
def prepared(ca: Authority, tmp_path_factory: Any) -> Path:
    """A SQLite file with alice, her certificate, and her permission."""
    folder: Path = tmp_path_factory.mktemp("prepared")
    (folder / "alice.pem").write_text(ca.certificate_for("alice").pem)
    database = folder / "database.sqlite3"
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.servers.settings",
        "TEST_DATABASE_URL": f"sqlite:///{database}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "client"), str(ROOT / "scanner")]),
    }
    command = [sys.executable, "-m", "tests.servers.prepare", str(folder / "alice.pem")]
    subprocess.run(command, cwd=ROOT, env=environ, check=True)
    return database
