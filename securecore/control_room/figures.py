"""Read every figure of the control room."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.auth import get_user_model

from securecore import database, user_model
from securecore.conf import settings
from securecore.control_room.bounded import Count, Listing, lasting, listing
from securecore.control_room.certificates import Certificates, read_certificates
from securecore.control_room.gate_waits import GateWaits, read_gate_waits
from securecore.control_room.refusals import Refusals, read_refusals
from securecore.deployment import edge, prove
from securecore.deployment.trials import Outcome
from securecore.grants.lockouts import is_locked_out
from securecore.grants.query.lockouts import EVERYONE
from securecore.last_runs import PURGE, last_runs
from securecore.models import LastRun, Lockout, RevocationList
from securecore.purge import lags
from securecore.revocation_lists import stored_lists

#: A revocation list that ends within this time is near its end.
NEAR = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ActiveLockout:
    #: The subject as the operator knows it: ``user:7 (alice)``.
    subject: str
    reason: str
    locked_at: dt.datetime
    expires_at: dt.datetime


@dataclass(frozen=True, slots=True)
class StoredList:
    row: RevocationList
    has_ended: bool
    is_near: bool

    @property
    def entries(self) -> Count:
        return Count(self.row.entries)


@dataclass(frozen=True, slots=True)
class Lag:
    table: str
    seconds: float

    @property
    def lasting(self) -> str:
        return lasting(self.seconds)


@dataclass(frozen=True, slots=True)
class Purge:
    """The last run, None before the first; and the tables with a lag, the longest first."""

    last: LastRun | None
    lags: list[Lag]


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise of this deployment with the verdict of its last trial, None before the first."""

    id: str
    text: str
    run: LastRun | None

    @property
    def outcome(self) -> str:
        return self.run.outcome if self.run else "never tried"

    @property
    def is_good(self) -> bool:
        return self.run is not None and self.run.outcome not in (Outcome.BROKEN, Outcome.NOT_TRIED)


@dataclass(frozen=True, slots=True)
class Figures:
    now: dt.datetime
    refused: Refusals
    observed: Refusals
    observing: tuple[str, ...]
    gates: GateWaits
    certificates: Certificates
    lockouts: Listing
    is_everyone_locked_out: bool
    lists: Listing
    purge: Purge
    promises: list[Promise]

    @property
    def bad_promises(self) -> list[Promise]:
        return [each for each in self.promises if not each.is_good]

    @property
    def verdicts(self) -> str:
        """The number of promises with each verdict: ``19 kept, 1 broken, 1 never tried``."""
        numbers = Counter(each.outcome for each in self.promises)
        order = [*Outcome, "never tried"]
        return ", ".join(f"{numbers[outcome]} {outcome}" for outcome in order if numbers[outcome])

    @property
    def tried_promises(self) -> list[Promise]:
        return [each for each in self.promises if each.run]


def read(now: dt.datetime) -> Figures:
    """Read every figure, by some 35 statements, each of a bounded number of rows. Changes nothing."""
    refused, observed = read_refusals(now)
    runs = last_runs()
    return Figures(
        now=now,
        refused=refused,
        observed=observed,
        observing=tuple(settings.OBSERVE),
        gates=read_gate_waits(),
        certificates=read_certificates(now),
        lockouts=_lockouts(now),
        # More lockouts than the list shows may end before this one.
        is_everyone_locked_out=is_locked_out(EVERYONE, now=now),
        lists=_lists(now),
        purge=Purge(runs.get(PURGE), _lags(now)),
        promises=list(_promises(runs)),
    )


def _lockouts(now: dt.datetime) -> Listing:
    rows = Lockout.objects.using(settings.DATABASE).filter(expires_at__gt=now).order_by("expires_at")
    found = listing(rows)
    names = _user_names([row.subject for row in found.rows])
    shown = [
        ActiveLockout(names.get(row.subject, row.subject), row.reason, row.locked_at, row.expires_at)
        for row in found.rows
    ]
    return Listing(shown, found.count)


def _user_names(subjects: list[str]) -> dict[str, str]:
    """Return ``user:7 (alice)`` for each subject that is a user."""
    connection, users = database.connection(), get_user_model()
    keys = [user_model.key_of(each.removeprefix("user:"), connection) for each in subjects if each.startswith("user:")]
    found = users._base_manager.using(settings.DATABASE).filter(pk__in=[key for key in keys if key is not None])
    return {f"user:{user.pk}": f"user:{user.pk} ({user.get_username()})" for user in found}


def _lists(now: dt.datetime) -> Listing:
    found = listing(stored_lists())
    rows = [StoredList(row, row.next_update <= now, now < row.next_update <= now + NEAR) for row in found.rows]
    return Listing(rows, found.count)


def _lags(now: dt.datetime) -> list[Lag]:
    found = [Lag(table, seconds) for table, seconds in lags(now).items() if seconds]
    return sorted(found, key=lambda lag: -lag.seconds)


def _promises(runs: dict[str, LastRun]) -> Iterator[Promise]:
    for trial in prove.trials_here():
        yield Promise(trial.id, trial.promise, runs.get(trial.id))
    for trial in edge.trials(""):  # securecore_prove tries it with --nginx only
        if trial.id in runs:
            yield Promise(trial.id, trial.promise, runs[trial.id])
