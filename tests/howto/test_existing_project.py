"""The page about an existing project: people log in as before, and a session is of one certificate."""

from __future__ import annotations

from pathlib import Path

from tests.howto.following import outcome_of


def test_project_with_session_login(tmp_path: Path) -> None:
    assert outcome_of("tests.howto.existing", str(tmp_path)) == {
        "old id": 401,  # browser sessions end once
        "login": 302,
        "new id": {"user": "alice"},
        "under another certificate": {"user": "bob"},
        "program": {"user": "alice"},
    }
