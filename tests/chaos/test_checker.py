"""The checker rejects every bad history. Each test is a good history with one fault."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tree import ROOT
from tools.chaos.checker import Verdict, check

Line = dict[str, Any]
KEYS, TWINS = 3, 2


def answer(key: int, twin: int, *, number: str | None = None, status: int = 201) -> Line:
    body = json.dumps({"id": number or f"id-{key}", "key": f"key-{key}"})
    return {"at": 1.0, "event": "answer", "key": f"key-{key}", "twin": twin, "status": status, "body": body}


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Verdict]:
    """`judged(lines, rows)` is the verdict on that history and table, without the counts that a good run must reach."""

    def judged(lines: list[Line] | None = None, rows: list[tuple[str, str]] | None = None) -> Verdict:
        lines = good_lines() if lines is None else lines
        started = {"at": 0.0, "event": "started", "keys": KEYS, "twins": TWINS}
        (tmp_path / "history").write_text("".join(json.dumps(line) + "\n" for line in [started, *lines]))
        connection = sqlite3.connect(tmp_path / "database")
        connection.execute("CREATE TABLE chaos_effect (id, key)")
        connection.executemany("INSERT INTO chaos_effect VALUES (?, ?)", good_rows() if rows is None else rows)
        connection.commit()
        connection.close()
        return check(tmp_path / "history", f"sqlite:///{tmp_path}/database")

    return judged


def good_lines() -> list[Line]:
    killed = {"at": 0.5, "event": "worker-killed", "pid": 1}
    broken = {"at": 0.6, "event": "no-answer", "key": "key-0", "twin": 0, "reason": "reset"}
    return [killed, broken, *(answer(key, twin) for key in range(KEYS) for twin in range(TWINS))]


def good_rows() -> list[tuple[str, str]]:
    return [(f"id-{key}", f"key-{key}") for key in range(KEYS)]


def found(verdict: Verdict) -> set[str]:
    return {name for name, keys in verdict.problems.items() if keys}


def test_a_good_run_is_good(judged: Any) -> None:
    verdict = judged()
    assert verdict.good
    assert "0 doubled, 0 lost" in str(verdict)
    assert "1 worker-killed" in str(verdict)


def test_a_second_effect_is_doubled(judged: Any) -> None:
    assert found(judged(rows=[*good_rows(), ("id-x", "key-1")])) == {"doubled"}


def test_no_effect_is_lost(judged: Any) -> None:
    assert found(judged(rows=good_rows()[1:])) == {"lost", "answered with another effect"}


def test_an_effect_that_nobody_asked_for_is_seen(judged: Any) -> None:
    assert found(judged(rows=[*good_rows(), ("id-x", "key-99")])) == {"of nobody"}


def test_a_twin_without_an_answer_is_seen(judged: Any) -> None:
    assert found(judged([*good_lines()[:-1], answer(2, 1, status=409)])) == {"unanswered"}


def test_twins_that_got_two_answers_are_seen(judged: Any) -> None:
    lines = [*good_lines()[:-1], answer(2, 1, number="id-x")]
    assert found(judged(lines)) == {"answered differently", "answered with another effect"}


def test_an_answer_about_no_effect_is_seen(judged: Any) -> None:
    lines = [line for line in good_lines() if line.get("key") != "key-2"]
    lines += [answer(2, twin, number="id-x") for twin in range(TWINS)]
    assert found(judged(lines)) == {"answered with another effect"}


def test_an_empty_run_is_not_good(tmp_path: Path, judged: Any) -> None:
    judged()
    (tmp_path / "history").write_text("")
    assert not check(tmp_path / "history", f"sqlite:///{tmp_path}/database").good


def test_it_is_a_program(tmp_path: Path, judged: Any) -> None:
    judged(rows=[*good_rows(), ("id-x", "key-1")])
    command = [sys.executable, "-m", "tools.chaos.checker", f"{tmp_path}/history", f"sqlite:///{tmp_path}/database"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "BAD: 1 doubled" in done.stdout
