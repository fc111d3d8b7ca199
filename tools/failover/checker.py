"""Judge a run by its history and its tables: python -m tools.failover.checker HISTORY DATABASE_URL

The checker reads nothing else, and shares no code with securecore.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tools.chaos.history import read

#: Seconds from the promotion until each flow has an answer again. The fence refuses nonces and proofs for 20 s more.
RECOVERY = 10
FENCED_RECOVERY = 32
#: A failover to an asynchronous standby loses commits, with or without the fence. There these problems are not judged.
LOST_COMMITS = ("keys with two effects", "effects lost", "revocations or redemptions lost")
#: The flows of requests that must never be accepted: the status that would be an acceptance.
FORBIDDEN = {"refresh-replay": 200, "revoked-token": 200, "revoked-grant": 201}
#: The flows with a value that may have one effect.
ONCE = ("nonce", "proof", "key")
_ONCE_NAMES = {"nonce": "nonces", "proof": "proofs", "key": "keys"}


@dataclass
class Verdict:
    """The numbers of a run. ``problems`` lists the values with each problem; a good run has none."""

    failures: list[str] = field(default_factory=list)
    #: Seconds of each round, from the failure to the promotion, and from there to the last flow's first answer.
    promoted: list[float] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    problems: dict[str, list[str]] = field(default_factory=dict)
    mode: str = "synchronous"
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        tried = all(self.values[flow] for flow in (*ONCE, *FORBIDDEN))
        return bool(self.failures) and tried and not any(self._judged.values())

    @property
    def _judged(self) -> dict[str, list[str]]:
        return {name: cases for name, cases in self.problems.items() if name not in self._lost}

    @property
    def _lost(self) -> tuple[str, ...]:
        return () if self.mode == "synchronous" else LOST_COMMITS

    def __str__(self) -> str:
        def range_of(values: list[float]) -> str:
            return f"{min(values):.1f} to {max(values):.1f} s" if values else "never"

        counts = ", ".join(f"{count} {name}" for name, count in sorted(Counter(self.failures).items()))
        values = ", ".join(f"{count} of {name}" for name, count in sorted(self.values.items()))
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        problems = ", ".join(f"{len(cases)} {name}" for name, cases in self._judged.items())
        lost = ", ".join(f"{len(self.problems[name])} {name}" for name in self._lost)
        lines = [
            f"{self.mode} standbys: {len(self.failures)} failovers ({counts}) in {self.seconds:.0f} s: promotion after "
            f"{range_of(self.promoted)}, every flow served {range_of(self.recovered)} after the promotion",
            f"values: {values}",
            f"answers: {statuses}",
            f"{'GOOD' if self.good else 'BAD'}: {problems}",
            *([f"lost with the commits that no standby had: {lost}"] if lost else []),
        ]
        return "\n".join(
            lines + [f"  {name}: {', '.join(cases[:5])}" for name, cases in self.problems.items() if cases]
        )


@dataclass
class _Answers:
    """The answers of a run, sorted by their meaning."""

    accepted: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    ids: dict[str, set[Any]] = field(default_factory=lambda: defaultdict(set))
    forbidden: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    unhelpful: list[str] = field(default_factory=list)

    def add(self, line: dict[str, Any]) -> None:
        flow, value, status = line["flow"], line["value"], line["status"]
        if status == 201:
            self.accepted[flow][value] += 1
            self.ids[value].add(line["effect"])
        if FORBIDDEN.get(flow) == status:
            self.forbidden.append(f"{flow} {value}")
        if status == 503 and not line["retry_after"]:
            self.unhelpful.append(f"{flow} {value}")
        if status >= 500 and status != 503:
            self.strange.append(f"{flow} {status}")


def judge(lines: Iterable[dict[str, Any]], effects: Counter[str]) -> Verdict:
    """Compare the history with ``effects``, the count of rows by value."""
    verdict, answers, events = Verdict(), _Answers(), list(lines)
    for line in events:
        verdict.seconds = max(verdict.seconds, line["at"])
        if line["event"] == "started":
            verdict.mode = line["mode"]
        if line["event"] == "answer":
            verdict.values[line["flow"]] += 1
            verdict.statuses[str(line["status"])] += 1
            answers.add(line)
    accepted = answers.accepted
    acknowledged = {value for flow in ONCE for value in accepted[flow]}
    verdict.problems = {
        f"{_ONCE_NAMES[flow]} accepted twice": [value for value, count in accepted[flow].items() if count > 1]
        for flow in ("nonce", "proof")
    } | {
        "keys with two effects": [value for value in accepted["key"] if len(answers.ids[value]) > 1],
        "effects doubled": [value for value, count in effects.items() if count > 1],
        "effects lost": sorted(value for value in acknowledged if not effects[value]),
        "revocations or redemptions lost": answers.forbidden,
        "effects of a refused request": [value for value in effects if value.startswith("revoked-grant")],
        "503 without Retry-After": answers.unhelpful,
        "other server errors": answers.strange,
        "requests without an answer": [f"{e['flow']} {e['reason']}" for e in events if e["event"] == "no-answer"],
        "slow recoveries": _rounds(verdict, events),
    }
    return verdict


def _rounds(verdict: Verdict, events: list[dict[str, Any]]) -> list[str]:
    """Note the times of each round; return the rounds in which a flow was not served again in time."""
    slow = []
    failed_at, name = 0.0, ""
    flows = {line["flow"] for line in events if line["event"] == "answer" and line["flow"] in (*ONCE, *FORBIDDEN)}
    flows.discard("refresh-replay")
    for line in events:
        if line["event"] == "failure":
            failed_at, name = line["at"], line["kind"]
            verdict.failures.append(name)
        if line["event"] == "promoted":
            verdict.promoted.append(line["at"] - failed_at)
            served = _served(events, line["at"])
            last = max((served.get(flow, float("inf")) for flow in flows), default=float("inf"))
            verdict.recovered.append(last)
            if last > (FENCED_RECOVERY if verdict.mode == "fenced" else RECOVERY):
                slow.append(f"{name} {last:.1f} s")
    return slow


def _served(events: list[dict[str, Any]], promoted: float) -> dict[str, float]:
    """Return, for each flow, the seconds from the promotion to its first answer below 500."""
    served: dict[str, float] = {}
    for line in events:
        if line["event"] == "answer" and line["at"] > promoted and line["status"] < 500:
            served.setdefault(line["flow"], line["at"] - promoted)
    return served


def effects_in(database_url: str) -> Counter[str]:
    """Return the number of transfers by memo, and of payouts by destination."""
    query = "SELECT memo, count(*) FROM payments_transfer GROUP BY 1 UNION ALL "
    query += 'SELECT "to", count(*) FROM payments_payout GROUP BY 1'
    with psycopg.connect(database_url) as postgres:
        return Counter({str(value): int(count) for value, count in postgres.execute(query).fetchall()})


def main(arguments: Sequence[str]) -> int:
    """Print the verdict; return 0 for a good one and 3 for a bad one, which no crash returns."""
    history, database_url = arguments
    verdict = judge(read(Path(history)), effects_in(database_url))
    print(verdict)
    return 0 if verdict.good else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
