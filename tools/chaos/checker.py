"""Judge a run by its history and its table of effects: python -m tools.chaos.checker HISTORY DATABASE_URL

The checker reads nothing else, and shares no code with securecore.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from tools.chaos.history import read


@dataclass
class Verdict:
    """The numbers of a run. ``problems`` lists the keys with each problem; a good run has none."""

    keys: int = 0
    twins: int = 0
    attempts: int = 0
    events: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    problems: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.keys > 0 and not any(self.problems.values())

    def __str__(self) -> str:
        problems = ", ".join(f"{len(keys)} {name}" for name, keys in self.problems.items())
        killed = ", ".join(f"{self.events[event]} {event}" for event in ("worker-killed", "database-killed"))
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        lines = [
            f"{self.keys} keys of {self.twins} twins in {self.seconds:.0f} s: {self.attempts} requests ({statuses}, "
            f"{self.events['no-answer']} x no answer); {killed}",
            f"{'GOOD' if self.good else 'BAD'}: {problems}",
        ]
        return "\n".join(lines + [f"  {name}: {', '.join(keys[:5])}" for name, keys in self.problems.items() if keys])


def judge(history: Path, effects: Counter[str], ids: dict[str, set[str]]) -> Verdict:
    """Compare the clients' responses with ``effects``, the count of rows by key, and their ``ids``."""
    verdict = Verdict()
    answers: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for line in read(history):
        verdict.events[line["event"]] += 1
        verdict.seconds = line["at"]
        if line["event"] == "started":
            verdict.keys, verdict.twins = line["keys"], line["twins"]
        if line["event"] in ("answer", "no-answer"):
            verdict.attempts += 1
        if line["event"] == "answer":
            verdict.statuses[line["status"]] += 1
            if 200 <= line["status"] < 300:
                answers[line["key"]][line["twin"]].append(line)
    keys = [f"key-{number}" for number in range(verdict.keys)]
    bodies = {key: {line["body"] for twin in answers[key].values() for line in twin} for key in keys}
    verdict.problems = {
        "doubled": [key for key in keys if effects[key] > 1],
        "lost": [key for key in keys if effects[key] == 0],
        "of nobody": sorted(set(effects) - set(keys)),
        "unanswered": [key for key in keys if sorted(answers[key]) != list(range(verdict.twins))],
        "answered differently": [key for key in keys if len(bodies[key]) > 1],
        "answered with another effect": [key for key in keys if not _match(bodies[key], ids.get(key, set()))],
    }
    return verdict


def _match(bodies: set[str], ids: set[str]) -> bool:
    return all(json.loads(body)["id"] in ids for body in bodies)


def effects_in(database_url: str) -> list[tuple[str, str]]:
    """Return the rows of ``chaos_effect``."""
    query = "SELECT id, key FROM chaos_effect"
    if database_url.startswith("sqlite:///"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    with psycopg.connect(database_url) as postgres:
        return postgres.execute(query).fetchall()


def check(history: Path, database_url: str) -> Verdict:
    """Judge the run that wrote ``history`` and the database at ``database_url``."""
    rows = effects_in(database_url)
    ids: dict[str, set[str]] = defaultdict(set)
    for number, key in rows:
        ids[key].add(number)
    return judge(history, Counter(key for _, key in rows), ids)


def main(arguments: Sequence[str]) -> int:
    """Print the verdict; return 0 for a good one."""
    history, database_url = arguments
    verdict = check(Path(history), database_url)
    print(verdict)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
