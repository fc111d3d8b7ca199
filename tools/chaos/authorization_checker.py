"""Judge a run of tools.chaos.authorization: python -m tools.chaos.authorization_checker HISTORY DATABASE_URL

The checker reads the history file and the table of effects only, and shares no code with securecore.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tools.chaos.history import read


@dataclass
class Verdict:
    """The numbers of a run. ``problems`` lists the persons or effects with each problem; a good run has none."""

    trials: int = 0
    wanted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    problems: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.trials >= self.wanted > 0 and self.outcomes["done"] > 0 and not any(self.problems.values())

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        problems = ", ".join(f"{len(cases)} {name}" for name, cases in self.problems.items())
        lines = [
            f"{self.trials} trials in {self.seconds:.0f} s ({outcomes}), {sum(self.kinds.values())} revocations in "
            f"{len(self.kinds)} ways, {self.cut} connections cut",
            f"{'GOOD' if self.good else 'BAD'}: {problems}",
        ]
        return "\n".join(
            lines + [f"  {name}: {', '.join(cases[:5])}" for name, cases in self.problems.items() if cases]
        )


def judge(history: Path, effects: dict[str, str]) -> Verdict:
    """Compare the history with ``effects``: the person of each effect in the table at the end."""
    verdict = Verdict()
    counted: dict[str, int] = {}
    ways: dict[str, str] = {}
    outcomes: dict[str, str] = {}
    allowed_afterwards = []
    for line in read(history):
        verdict.seconds = line["at"]
        if line["event"] == "started":
            verdict.wanted = line["trials"]
        elif line["event"] == "connection-cut":
            verdict.cut += 1
        elif line["event"] == "revoked":
            counted[line["person"]] = line["effects"]
            verdict.kinds[line["how"]] += 1
            ways[line["person"]] = line["how"]
        elif line["event"] == "attempt":
            verdict.trials += 1
            verdict.outcomes[line["outcome"]] += 1
            outcomes[line["effect"]] = line["outcome"]
            if line["after"] and (line["outcome"] == "done" or line["effect"] in effects):
                allowed_afterwards.append(line["effect"])
    had = Counter(effects.values())
    verdict.problems = {
        "committed after the revocation returned": [
            f"{had[name] - count} by {name} ({ways[name]})" for name, count in counted.items() if had[name] != count
        ],
        "allowed after the revocation returned": allowed_afterwards,
        "lost": [effect for effect, outcome in outcomes.items() if outcome == "done" and effect not in effects],
        "without permission": [effect for effect in effects if outcomes.get(effect) in ("denied", "busy", None)],
        "of nobody": sorted(set(had) - set(counted)),
    }
    return verdict


def main(arguments: Sequence[str]) -> int:
    """Print the verdict; return 0 for a good one."""
    history, database_url = arguments
    with psycopg.connect(database_url) as postgres:
        rows = postgres.execute("SELECT id::text, person FROM chaos_authorized").fetchall()
    verdict = judge(Path(history), dict(rows))
    print(verdict)
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
