"""The checker of a failover rejects every bad history. Each test is a good history with one fault."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tools.failover.checker import FORBIDDEN, Verdict, judge

Line = dict[str, Any]


def answer(flow: str, value: str, status: int, *, at: float = 25.0, effect: Any = None, **more: Any) -> Line:
    retry_after = "1" if status == 503 else None
    line = {"at": at, "event": "answer", "flow": flow, "value": value, "status": status, "seconds": 0.1}
    return {**line, "retry_after": retry_after, "effect": effect, **more}


def good_lines(mode: str = "synchronous") -> list[Line]:
    return [
        {"at": 0.0, "event": "started", "mode": mode},
        answer("nonce", "nonce-1", 201, at=1.0, effect=1),
        answer("key", "key-1", 201, at=1.0, effect=3),
        {"at": 3.0, "event": "failure", "kind": "killed", "member": "m1"},
        answer("nonce", "nonce-2", 503, at=5.0),
        {"at": 23.0, "event": "promoted", "member": "m2"},
        answer("nonce", "nonce-1", 409),
        answer("proof", "proof-1", 201, effect=2),
        answer("key", "key-1", 201, effect=3),
        answer("revoked-token", "t", 401),
        answer("revoked-grant", "revoked-grant-1", 403),
        answer("refresh-replay", "r", 400),
    ]


def good_effects() -> Counter[str]:
    return Counter({"nonce-1": 1, "proof-1": 1, "key-1": 1})


def found(verdict: Verdict) -> set[str]:
    return {name for name, values in verdict.problems.items() if values}


def test_a_good_run_is_good() -> None:
    verdict = judge(good_lines(), good_effects())
    assert verdict.good, verdict
    assert (verdict.promoted, verdict.recovered) == ([20.0], [2.0])
    assert "1 failovers (1 killed)" in str(verdict)


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        ("nonces accepted twice", answer("nonce", "nonce-1", 201, effect=9)),
        ("proofs accepted twice", answer("proof", "proof-1", 201, effect=9)),
        ("keys with two effects", answer("key", "key-1", 201, effect=9)),
        ("revocations or redemptions lost", answer("revoked-token", "t", 200)),
        ("revocations or redemptions lost", answer("revoked-grant", "revoked-grant-1", 201)),
        ("revocations or redemptions lost", answer("refresh-replay", "r", 200)),
        ("503 without Retry-After", answer("token", "", 503) | {"retry_after": None}),
        ("other server errors", answer("token", "", 500)),
        (
            "requests without an answer",
            {"at": 9.0, "event": "no-answer", "flow": "key", "value": "k", "reason": "reset"},
        ),
    ],
)
def test_a_broken_promise_is_found(problem: str, line: Line) -> None:
    verdict = judge([*good_lines(), line], good_effects())
    assert found(verdict) == {problem}
    assert not verdict.good


@pytest.mark.parametrize(
    ("problem", "change"),
    [
        ("effects doubled", {"key-1": 2}),
        ("effects lost", {"nonce-1": 0}),
        ("effects of a refused request", {"revoked-grant-1": 1}),
    ],
)
def test_a_wrong_table_is_found(problem: str, change: dict[str, int]) -> None:
    assert found(judge(good_lines(), good_effects() | Counter(change) if change.get("nonce-1") != 0 else _lost())) == {
        problem
    }


def _lost() -> Counter[str]:
    effects = good_effects()
    del effects["nonce-1"]
    return effects


def test_a_slow_recovery_is_found() -> None:
    late = [line | {"at": line["at"] + 9} if line["at"] == 25.0 else line for line in good_lines()]
    assert found(judge(late, good_effects())) == {"slow recoveries"}


def test_a_run_that_tried_too_little_is_not_good() -> None:
    for flow in ("nonce", "proof", "key", *FORBIDDEN):
        lines = [line for line in good_lines() if line.get("flow") != flow]
        effects = Counter({value: count for value, count in good_effects().items() if not value.startswith(flow)})
        assert not judge(lines, effects).good, flow
    assert not judge([line for line in good_lines() if line["event"] != "failure"], good_effects()).good


@pytest.mark.parametrize("mode", ["asynchronous", "fenced"])
def test_asynchronous_standbys_may_lose_commits_and_nothing_else(mode: str) -> None:
    lost = answer("revoked-token", "t", 200)
    verdict = judge([*good_lines(mode), lost], good_effects())
    assert verdict.good
    assert "1 revocations or redemptions lost" in str(verdict).partition("GOOD")[2].splitlines()[1]
    for fault in (answer("nonce", "nonce-1", 201, effect=9), answer("token", "", 500)):
        assert not judge([*good_lines(mode), fault], good_effects()).good
