"""Check and effect as one atomic step: ``authorize`` and its parts.

``gate`` locks, ``query`` reads the grants, ``allowance`` counts uses. This module puts them in order. ``late`` does so
for a long view.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from securecore import database, events, observe
from securecore.caches import BoundedCache
from securecore.conf import settings
from securecore.errors import AllowanceExhausted, LockedOut, Misuse, PermissionDenied
from securecore.grants import allowance, gate
from securecore.grants.limits import checked_amount
from securecore.grants.permission_names import require_permission
from securecore.grants.principals import Target, names_of, target_of
from securecore.grants.query import caller_state, effective
from securecore.grants.query.caller_state import BoundCondition, CallerState
from securecore.grants.query.effective import EffectiveGrant

Principal = str | tuple[str, ...]
#: ``securecore.clock.now``. A check reads the clock before and after the wait for the gate, so it takes no ``now``.
Clock = Callable[[], dt.datetime]

#: A required permission, and its object.
Required = tuple[str, Target]

#: The one ``Decision.reason`` that allows the effect.
GRANTED = "granted"
#: The reasons that observe mode lets pass. The others say that a credential has ended.
_OBSERVABLE = ("no-grant", "denied")


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of a check, with its reason. A decision that allows is true in a condition.

    ``reason`` is ``granted``, ``no-grant``, ``denied``, ``user-inactive``, ``certificate-revoked``,
    ``service-disabled``, ``locked-out``, or the ``refusal`` of a ``Condition``. ``grants`` are the grants that allow
    the action. If only consumable grants allow it, call ``spend()`` too.
    """

    names: tuple[str, ...]
    permission: str
    on: Target
    reason: str
    grants: tuple[EffectiveGrant, ...] = ()

    def __bool__(self) -> bool:
        return self.reason == GRANTED

    def lets_pass(self) -> bool:
        """Return whether the effect may happen: it is allowed, or the check only observes, which is recorded.

        A caller with an ended credential never passes: only the absence of a grant is observed.
        """
        return bool(self) or (
            self.reason in _OBSERVABLE
            and observe.lets_pass("permissions", code=PermissionDenied.code, reason=f"{self.reason} {self.permission}")
        )

    def require(self) -> None:
        """Raise ``PermissionDenied`` (403) unless the caller may do this, or the check only observes.

        Raises ``LockedOut`` (403) during a lockout.
        """
        if not self.lets_pass():
            self._refuse(self.reason)
            raise LockedOut if self.reason == LockedOut.code else PermissionDenied

    def spend(self, *, amount: int | None = None, now: dt.datetime) -> None:
        """Count one use, and ``amount``, if only consumable grants allow this.

        Raises ``AllowanceExhausted`` (403) when no such grant has one use and ``amount`` left. Needs the transaction
        of the effect: a rollback of the effect restores the allowance. Raises ``AmountRefused`` (400) and ``Misuse``
        for a value that is no amount, also when a grant without limits allows this.
        """
        amount = checked_amount(amount)
        if not self.grants:  # the check only observes
            return
        if self.grants[0].is_consumable and not allowance.spend(self.grants, by=self.names[0], amount=amount, now=now):
            code = AllowanceExhausted.code
            if not observe.lets_pass("permissions", code=code, reason=f"exhausted {self.permission}"):
                self._refuse("exhausted")
                raise AllowanceExhausted

    def _refuse(self, reason: str) -> None:
        events.emit(
            events.PermissionRefused(
                principals=self.names, permission=self.permission, object=self.on.name, reason=reason
            )
        )


@contextmanager
def authorize(
    principal: Principal,
    permission: str,
    obj: Any = None,
    *,
    conditions: Sequence[BoundCondition] = (),
    consume: int | None = None,
    clock: Clock,
) -> Iterator[Decision]:
    """Run the block if ``principal`` has ``permission`` (on ``obj``), and keep that true until the block commits.

    ::

        with authorize(principal_of(user), "transfers.create", account, consume=amount, clock=clock.now):
            Transfer.objects.create(...)

    None of ``conditions`` may hold until the commit: they state that a credential of the request has ended. A
    consumable grant loses one use and ``consume`` of its amount. Opens or joins the outermost transaction, and holds
    the gate until the transaction ends. Raises ``PermissionDenied`` and ``AllowanceExhausted`` (403), ``Busy`` (503)
    after ``LOCK_TIMEOUT`` at the gate, and ``Misuse`` where the read permission could be out of date, for example on a
    replica. Keep calls to other systems out of the block: a revocation of this principal waits for the block.
    """
    with allowed(principal, permission, obj, conditions=conditions, clock=clock) as decision:
        decision.spend(amount=consume, now=clock())
        yield decision


@contextmanager
def allowed(
    principal: Principal,
    permission: str,
    obj: Any = None,
    *,
    conditions: Sequence[BoundCondition] = (),
    clock: Clock,
) -> Iterator[Decision]:
    """Like ``authorize``, but the block calls ``decision.spend()`` itself."""

    def first() -> Decision:
        return decide(principal, permission, obj, conditions=conditions, clock=clock)

    with database.outermost_transaction_from("authorize()", first) as decision:
        if decision.lets_pass():
            yield decision
            return
    # Raise only here, behind the commit of a transaction without effect. After a rollback psycopg forgets its prepared
    # statements, so each denied caller would make the next check plan its statements again.
    decision.require()


def decide(
    principal: Principal,
    permission: str,
    obj: Any = None,
    *,
    conditions: Sequence[BoundCondition] = (),
    clock: Clock,
) -> Decision:
    """Decide whether ``principal`` has ``permission``, so that the decision holds until the transaction ends.

    Needs the outermost transaction (``Misuse`` in autocommit mode or a savepoint). The check enters the gate first and
    reads the permission in a second statement. ``has_perm()`` would not do: its cache was filled before the wait. The
    check reads the clock after the wait too, so a grant that ended during the wait counts as ended.
    """
    return decide_all(principal, [(permission, checked_target(obj))], conditions=conditions, clock=clock)[0]


def decide_all(
    principal: Principal, required: Sequence[Required], *, conditions: Sequence[BoundCondition] = (), clock: Clock
) -> list[Decision]:
    """Decide about several permissions in the two statements of ``decide``. The objects are ``Target`` values."""
    names = names_of(principal)
    permissions = tuple(dict.fromkeys(require_permission(permission) for permission, _ in required))
    state = _read_behind_gates(names, permissions, tuple(conditions), clock)
    return [decision_of(state, names, permission, on) for permission, on in required]


class Judge:
    """Decides about one caller. The transaction holds the caller's gates, and the grants were read behind the gates."""

    def __init__(self, names: tuple[str, ...], permissions: Sequence[str], state: CallerState) -> None:
        self._names = names
        self._permissions = frozenset(permissions)
        self._state = state

    def knows(self, permission: str) -> bool:
        """Say whether the grants of ``permission`` were read."""
        return permission in self._permissions

    def decide(self, permission: str, obj: Any = None) -> Decision:
        """Decide without a statement. The grants of ``permission`` must have been read (see ``knows``)."""
        return decision_of(self._state, self._names, permission, checked_target(obj))


def judge(
    principal: Principal, permissions: Sequence[str], *, conditions: Sequence[BoundCondition] = (), clock: Clock
) -> Judge:
    """Enter the gates of ``principal``, read its grants of ``permissions``, and return a judge of them.

    The judge decides about one object after another until the transaction ends, also inside savepoints. Needs the
    outermost transaction.
    """
    names = names_of(principal)
    state = _read_behind_gates(names, tuple(map(require_permission, permissions)), tuple(conditions), clock)
    return Judge(names, permissions, state)


def _read_behind_gates(
    names: tuple[str, ...], permissions: tuple[str, ...], conditions: tuple[BoundCondition, ...], clock: Clock
) -> CallerState:
    """Enter the gates of the caller and of its conditions, then read its state and grants in a second statement."""
    database.require_outermost_transaction("decide()")
    began = clock()
    query = caller_state.query(names, permissions, conditions, now=began)
    known = _groups.get(names) or frozenset()
    gates = tuple(dict.fromkeys([*names, *(name for condition in conditions for name in condition.gates)]))
    rows = gate.enter(gates, known, query)
    now = clock()  # after the wait
    state, locked = caller_state.state(rows, now=now), known
    # The caller joined these groups and roles during the wait, or since ``_groups`` kept the names.
    while (joined := state.groups(names) - locked) and gate.enter_also(joined):
        locked |= joined
        state = caller_state.read(names, permissions, conditions, now=clock())
    if (groups := state.groups(names)) != known:
        _groups.put(names, groups)
    return state


def enter(principal: Principal, *, conditions: Sequence[BoundCondition] = (), clock: Clock) -> str:
    """Enter the gates of the caller, and return the code of the refusal, or an empty string.

    For code that issues a session or a token, which depends on no permission. ``conditions`` are those of
    ``authorize``. A concurrent revocation that ends sessions and tokens has two outcomes: it waits for the commit and
    ends the new session or token, or ``enter`` reads it and returns the refusal. Needs the transaction of the insert.
    If a savepoint of that transaction rolls back, the gate and the insert are undone together. Raises ``Busy`` (503).
    """
    names = names_of(principal)
    rows = gate.enter(names, (), caller_state.query(names, (), conditions, now=clock()))
    return caller_state.state(rows, now=clock()).refusal


#: The groups and roles of a caller, as the last check read them. No decision reads this cache. A missing name costs one
#: more statement, since the check enters that gate too; a stale name costs one extra lock.
_groups: BoundedCache[frozenset[str]] = BoundedCache()


def decision_of(state: CallerState, names: tuple[str, ...], permission: str, on: Target) -> Decision:
    """Decide from a state that was read already."""
    denied, allowing = effective.deciding(state.grants, permission, on)
    reason = state.refusal or ("denied" if denied else GRANTED if allowing else "no-grant")
    return Decision(names, permission, on, reason, tuple(allowing) if reason == GRANTED else ())


def checked_target(obj: Any) -> Target:
    """Return the target of a permission. Raises ``Misuse`` for an object that was read from another database."""
    alias = getattr(getattr(obj, "_state", None), "db", None)
    if alias not in (None, settings.DATABASE):
        raise Misuse(
            f"This object was read from DATABASES[{alias!r}], but permissions hold for effects in "
            f"{settings.DATABASE!r} (SECURECORE['DATABASE']). Read it with .using({settings.DATABASE!r}): a replica "
            f"may return an old row."
        )
    return target_of(obj)
