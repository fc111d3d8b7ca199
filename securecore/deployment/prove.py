"""Run every trial, one after the other, within a time limit."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from threading import Thread

from django.db import Error, connections

from securecore import clock, database, last_runs
from securecore.conf import settings
from securecore.deployment import claims, connection, durability, edge, gates, installed, leases, replay_cache
from securecore.deployment.concurrent_connections import ConcurrentConnections
from securecore.deployment.trials import Outcome, Trial, Verdict, broken, not_tried
from securecore.errors import Misuse

EVERY_TRIAL = (
    *connection.TRIALS,
    *durability.TRIALS,
    *installed.TRIALS,
    *claims.TRIALS,
    *gates.TRIALS,
    *replay_cache.TRIALS,
    *leases.TRIALS,
)

#: The name of the thread that runs the trials. It outlives the command if a statement outlives the time limit.
RUNNER = "securecore_prove"
#: Seconds for storing the verdicts: a database that does not reply must not keep the command from ending.
_STORING = 5


@dataclass(frozen=True, slots=True)
class Result:
    trial: Trial
    verdict: Verdict


def prove(*, seconds: float, nginx: str | None = None, only: Collection[str] = ()) -> list[Result]:
    """Try every promise of this deployment, or ``only`` those with these ids, for at most ``seconds``.

    ``nginx`` is the main file of a proxy's configuration. A trial that has no time left is not tried. The trials leave
    no row behind, and are safe under live traffic: they use ``concurrent_connections.COUNT`` connections for a few
    seconds. Raises ``Misuse`` for an id that this deployment has no trial of, and tries none.
    """
    every = [*trials_here(), *(edge.trials(nginx) if nginx else ())]
    if missing := set(only) - {trial.id for trial in every}:
        known = ", ".join(trial.id for trial in every)
        raise Misuse(f"This deployment has no trial {', '.join(sorted(missing))}. It has {known}.")
    trials = [trial for trial in every if not only or trial.id in only]
    verdicts: list[Verdict] = []
    deadline = time.monotonic() + seconds
    runner = Thread(target=_run, args=(trials, verdicts, deadline), name=RUNNER, daemon=True)
    runner.start()
    runner.join(seconds)
    tried = list(verdicts)
    late = [not_tried(f"the time limit of {seconds:g} s was over")] * (len(trials) - len(tried))
    return [Result(trial, verdict) for trial, verdict in zip(trials, [*tried, *late], strict=True)]


def store(results: Sequence[Result]) -> bool:
    """Store the verdicts for the control room, within ``_STORING`` seconds; return whether the database has them.

    A trial that is not among ``results`` keeps its verdict. A database that refuses the rows is a verdict already.
    """
    outcomes = {each.trial.id: (each.verdict.outcome.value, each.verdict.detail) for each in results}
    stored: list[bool] = []

    def run() -> None:
        try:
            last_runs.record(outcomes, now=clock.now())
            stored.append(True)
        except Error:
            return
        finally:
            connections.close_all()  # those of this thread

    thread = Thread(target=run, name=RUNNER, daemon=True)
    thread.start()
    thread.join(_STORING)
    return bool(stored)


def exit_code(results: Sequence[Result]) -> int:
    """Return 1 if a promise is broken, else 2 if one could not be tried, else 0."""
    outcomes = {result.verdict.outcome for result in results}
    return 1 if Outcome.BROKEN in outcomes else 2 if Outcome.NOT_TRIED in outcomes else 0


def trials_here() -> Iterator[Trial]:
    """Yield the trials of the promises that this database and these settings can break."""
    vendor = database.connection().vendor
    for trial in EVERY_TRIAL:
        if vendor in trial.vendors and (settings.REPLAY_CACHE or trial not in replay_cache.TRIALS):
            yield trial


def _run(trials: Sequence[Trial], verdicts: list[Verdict], deadline: float) -> None:
    connections = ConcurrentConnections()
    try:
        for trial in trials:
            if time.monotonic() >= deadline:
                return
            verdicts.append(_verdict(trial, connections))
    finally:
        connections.close()


def _verdict(trial: Trial, connections: ConcurrentConnections) -> Verdict:
    try:
        return trial.run(connections)
    except Misuse as misuse:  # securecore itself refuses to work here
        return broken(str(misuse))
    except Exception as error:  # drivers and backends raise errors of every kind
        return not_tried(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300])
