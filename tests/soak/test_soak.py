"""A small soak. ``make soak`` is the large one, which also judges the memory."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.support.tree import ROOT


def test_tables_are_back_at_their_floor() -> None:
    soak = [sys.executable, "-m", "tools.soak", "--requests", "80"]
    command = [sys.executable, "-m", "tests.support.postgres", "--", *soak]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "80 requests with 8 certificates" in done.stdout
    assert "GOOD: too few requests to judge the memory, tables back at their floor" in done.stdout
    tables = ("seen_nonce", "session", "revoked_token", "idempotency_record", "certificate_identifier")
    for table in tables:
        assert re.search(rf"securecore_{table} +0 rows, then +(8|16), after the purge 0", done.stdout), done.stdout
