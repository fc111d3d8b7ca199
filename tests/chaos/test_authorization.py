"""A small run of the scenario, and proof that the checker can fail."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.support.tree import ROOT
from tools.chaos.authorization_checker import judge

STARTED = {"at": 0, "event": "started", "trials": 1}
REVOKED = {"at": 1, "event": "revoked", "person": "alice", "how": "a grant", "effects": 1}


def attempt(effect: str, outcome: str, *, after: bool = False) -> dict[str, Any]:
    return {"at": 1, "event": "attempt", "person": "alice", "effect": effect, "outcome": outcome, "after": after}


DONE = attempt("one", "done")


@pytest.fixture
def history(tmp_path: Path) -> Any:
    def write(*lines: dict[str, Any]) -> Path:
        path = tmp_path / "history.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return write


class TestChecker:
    def test_checker_is_content_with_what_may_be(self, history: Any) -> None:
        lines = (STARTED, DONE, attempt("two", "denied"), attempt("three", "unknown"), REVOKED)
        assert judge(history(*lines), {"one": "alice"}).good
        assert not judge(history(STARTED), {}).good

    @pytest.mark.parametrize(
        ("problem", "more", "effects"),
        [
            ("committed after the revocation returned", attempt("two", "done"), ("one", "two")),
            ("committed after the revocation returned", attempt("two", "unknown"), ("one", "two")),
            ("allowed after the revocation returned", attempt("two", "unknown", after=True), ("one", "two")),
            ("lost", attempt("two", "done"), ("one",)),
            ("without permission", attempt("two", "denied"), ("one", "two")),
        ],
    )
    def test_checker_finds_a_violation(
        self, history: Any, problem: str, more: dict[str, Any], effects: tuple[str]
    ) -> None:
        verdict = judge(history(STARTED, DONE, more, REVOKED), dict.fromkeys(effects, "alice"))
        assert verdict.problems[problem]
        assert not verdict.good


@pytest.mark.skipif(connection.vendor != "postgresql", reason="its locks exist only on PostgreSQL")
@pytest.mark.parametrize(
    ("arguments", "code", "verdict"),
    [
        ((), 0, "GOOD: 0 committed after the revocation returned"),
        (("--gate", "row"), 0, "GOOD: 0 committed after the revocation returned"),
        (("--outrun",), 1, "BAD: [1-9][0-9]* committed after the revocation returned"),
    ],
)
def test_a_run_is_judged(arguments: tuple[str, ...], code: int, verdict: str) -> None:
    command = [sys.executable, "-m", "tools.chaos.authorization", "--trials", "400", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == code, done.stdout
    assert re.search(verdict, done.stdout), done.stdout + done.stderr
