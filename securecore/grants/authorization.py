"""Check and effect as one atomic step."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from securecore import database, events
from securecore.caches import BoundedCache
from securecore.conf import settings
from securecore.errors import AllowanceExhausted, Misuse, PermissionDenied
from securecore.grants import allowance, gate
from securecore.grants.limits import checked_amount
from securecore.grants.permission_names import require_permission
from securecore.grants.principals import Target, names_of, target_of
from securecore.grants.query import effective, standing
from securecore.grants.query.effective import EffectiveGrant
from securecore.grants.query.standing import Credential

Principal = str | tuple[str, ...]
#: ``securecore.clock.now``: here the instant matters at which it is read.
Clock = Callable[[], dt.datetime]

#: A permission, and the object.
Asked = tuple[str, Target]

#: The one reason that lets an effect happen.
GRANTED = "granted"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a caller may, and why not: true in a condition if it may.

    ``reason`` is ``granted``, ``no-grant``, ``denied``, ``user-inactive``, ``certificate-revoked``,
    ``service-disabled``, or the ``refusal`` of a ``Credential``. ``grants`` are those that allow it; one that is
    consumable still has to be ``spend()``-ed.
    """

    names: tuple[str, ...]
    permission: str
    on: Target
    reason: str
    grants: tuple[EffectiveGrant, ...] = ()

    def __bool__(self) -> bool:
        return self.reason == GRANTED

    def require(self) -> None:
        """Raise ``PermissionDenied`` (403) if it may not."""
        if not self:
            self._refuse(self.reason)
            raise PermissionDenied

    def spend(self, *, amount: int | None = None, now: dt.datetime) -> None:
        """Count one use, and ``amount``, if only a consumable grant allows this. Raises ``AllowanceExhausted`` (403)
        when no such grant has that much left. Needs the transaction of the effect: what is rolled back was not used.

        Raises ``AmountRefused`` (400) and ``Misuse`` for what is no amount, whichever grant allows this.
        """
        amount = checked_amount(amount)
        if self.grants[0].is_consumable and not allowance.spend(self.grants, by=self.names[0], amount=amount, now=now):
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
    credentials: Sequence[Credential] = (),
    consume: int | None = None,
    clock: Clock,
) -> Iterator[Decision]:
    """Run the block only if ``principal`` holds ``permission`` (on ``obj``) at the instant the block commits.

    ::

        with authorize(principal_of(user), "transfers.create", account, consume=amount, clock=clock.now):
            Transfer.objects.create(...)

    ``credentials`` authenticated the request, and must stand at that instant too. A consumable grant is used once, and
    by ``consume`` of its amount. Opens the outermost transaction or joins it; the
    gate is held until it ends. Raises ``PermissionDenied``, ``AllowanceExhausted`` (403), ``Busy`` (503) when the gate
    was held too long, and ``Misuse`` where the answer could be an old one. Keep calls to other systems out of the
    block: this principal's revocation waits for it.
    """
    with allowed(principal, permission, obj, credentials=credentials, clock=clock) as decision:
        decision.spend(amount=consume, now=clock())
        yield decision


@contextmanager
def allowed(
    principal: Principal,
    permission: str,
    obj: Any = None,
    *,
    credentials: Sequence[Credential] = (),
    clock: Clock,
) -> Iterator[Decision]:
    """Like ``authorize``, but the block calls ``decision.spend()`` itself."""

    def first() -> Decision:
        return decide(principal, permission, obj, credentials=credentials, clock=clock)

    with database.outermost_transaction_from("authorize()", first) as decision:
        if decision:
            yield decision
    # Nothing was done, so a transaction of ours may as well have committed: after a rollback psycopg forgets all that
    # it has prepared, and whoever is denied would make the next check wait for the planner.
    decision.require()


def decide(
    principal: Principal,
    permission: str,
    obj: Any = None,
    *,
    credentials: Sequence[Credential] = (),
    clock: Clock,
) -> Decision:
    """Say whether ``principal`` may, and let that hold until the transaction ends.

    Needs the outermost transaction (``Misuse`` in autocommit mode or a savepoint). The gate first, then the permission
    in a second statement: never ``has_perm()``, which would answer from a cache filled before the wait. The clock is
    read after the wait too: a permission whose end was set to an instant of the wait has ended.
    """
    return decide_all(principal, [(permission, _object(obj))], credentials=credentials, clock=clock)[0]


def decide_all(
    principal: Principal, asked: Sequence[Asked], *, credentials: Sequence[Credential] = (), clock: Clock
) -> list[Decision]:
    """Like ``decide`` for several permissions in the same two statements; the objects as grants name them."""
    asked = [(require_permission(permission), on) for permission, on in asked]
    return _decided(names_of(principal), asked, tuple(credentials), clock)


class Judge:
    """Decides about one caller, whose gates the transaction holds and whose grants were read behind them."""

    def __init__(self, names: tuple[str, ...], permissions: Sequence[str], read: standing.Standing) -> None:
        self._names = names
        self._permissions = frozenset(permissions)
        self._read = read

    def knows(self, permission: str) -> bool:
        """Say whether the grants of ``permission`` were read."""
        return permission in self._permissions

    def decide(self, permission: str, obj: Any = None) -> Decision:
        """Say whether the caller may, without a statement; the grants of ``permission`` must have been read."""
        return _judged(self._read, self._names, permission, _object(obj))


def judge(
    principal: Principal, permissions: Sequence[str], *, credentials: Sequence[Credential] = (), clock: Clock
) -> Judge:
    """Enter the gates of ``principal`` and read its grants of ``permissions``; the returned judge then decides about
    objects as they are found, in savepoints too, until the transaction ends. Needs the outermost transaction.
    """
    names = names_of(principal)
    read = _read_behind_gates(names, tuple(map(require_permission, permissions)), tuple(credentials), clock)
    return Judge(names, permissions, read)


def _decided(
    names: tuple[str, ...], asked: Sequence[Asked], credentials: tuple[Credential, ...], clock: Clock
) -> list[Decision]:
    permissions = tuple(dict.fromkeys(permission for permission, _ in asked))
    read = _read_behind_gates(names, permissions, credentials, clock)
    return [_judged(read, names, permission, on) for permission, on in asked]


def _read_behind_gates(
    names: tuple[str, ...], permissions: tuple[str, ...], credentials: tuple[Credential, ...], clock: Clock
) -> standing.Standing:
    database.require_outermost_transaction("decide()")
    began = clock()
    asking = standing.asked(names, permissions, credentials, now=began, bounds=True)
    more = tuple({each for credential in credentials for each in credential.gates}.difference(names))
    held, rows = gate.enter((*names, *more), _belonged_to.get(names) or (), then=asking)
    held = held and held.difference(more)
    now = clock()  # after the wait
    read = standing.read(names, permissions, credentials, now=now) if rows is None else standing.read_at(now, rows)
    while held is not None and (belongs_to := frozenset(grant.name for grant in read.grants)) != held:
        _belonged_to.put(names, belongs_to)
        if belongs_to < held:
            break
        # It came to belong to these while the gate was waited for, or we had not seen it for a while.
        gate.enter_also(belongs_to - held)
        held |= belongs_to
        read = standing.read(names, permissions, credentials, now=clock())
    return read


def enter(principal: Principal, *, clock: Clock) -> str:
    """Enter the gates of the caller; return the reason why it may do nothing at all, or an empty text.

    For code that gives the caller a session or a token, whatever it may do: a revocation that ends sessions and tokens
    either waits until these are committed and ends them, or is seen here. Needs the transaction of the insert; if a
    savepoint of that rolls back, gate and insert go together. Raises ``Busy`` (503).
    """
    names = names_of(principal)
    _, rows = gate.enter(names, (), then=standing.asked(names, (), now=clock(), bounds=True))
    now = clock()
    return (standing.read(names, (), now=now) if rows is None else standing.read_at(now, rows)).refusal


#: The names of a caller, its groups' and roles' among them, when it was last judged. Whatever is missing is entered
#: once that is known, and whatever is too much is a gate more to wait at: what may be done is never read here.
_belonged_to: BoundedCache[frozenset[str]] = BoundedCache(
    size=lambda: settings.CALLER_CACHE_SIZE, seconds=lambda: settings.CACHE_SECONDS
)


class LateGate:
    """What a long view asks for while the gate stays open; see ``late_gate``."""

    def __init__(
        self,
        names: tuple[str, ...],
        credentials: tuple[Credential, ...],
        clock: Clock,
        note: Callable[[str, Any], None] | None = None,
    ) -> None:
        self._names = names
        self._credentials = credentials
        self._clock = clock
        self._note = note
        self._asked: list[tuple[Asked, int | None]] = []
        self._spends = True

    def require(self, permission: str, obj: Any = None, *, consume: int | None = None) -> None:
        """Raise ``PermissionDenied`` (403) unless the caller may at this moment; it is asked again at the end."""
        on, consume = _object(obj), checked_amount(consume)
        require_permission(permission)
        read = standing.read(self._names, [permission], self._credentials, now=self._clock())
        _judged(read, self._names, permission, on).require()
        self._asked.append(((permission, on), consume))
        if self._note:
            self._note(permission, obj)

    def spend_nothing(self) -> None:
        """Leave allowances as they are: the block turned out to have no effect."""
        self._spends = False

    def abandon(self) -> None:
        """Ask for nothing more: the caller rolls the transaction back."""
        self._asked.clear()

    def close(self) -> None:
        """Take the gate and ask for everything again, in two statements however much it is."""
        if not self._asked:
            return
        decisions = _decided(self._names, [asked for asked, _ in self._asked], self._credentials, self._clock)
        for decision, (_, consume) in zip(decisions, self._asked, strict=True):
            decision.require()
            if self._spends:
                decision.spend(amount=consume, now=self._clock())


@contextmanager
def late_gate(
    principal: Principal,
    *,
    credentials: Sequence[Credential] = (),
    clock: Clock,
    note: Callable[[str, Any], None] | None = None,
) -> Iterator[LateGate]:
    """Run a long block whose checks take the gate only at its end, so that a revocation need not wait for all of it.

    ::

        with late_gate(principal_of(user), clock=clock.now) as late:
            late.require("reports.create")
            ...  # slow
            Report.objects.create(...)

    Each ``require()`` asks at once without a lock, and once more under the gate as the last statements before the
    commit: an effect whose permission went in between is rolled back. Opens the outermost transaction or joins it.
    ``note`` is called with each permission and object that was asked for and granted.
    """
    with database.outermost_transaction("late_gate()"):
        late = LateGate(names_of(principal), tuple(credentials), clock, note)
        yield late
        late.close()


def _judged(read: standing.Standing, names: tuple[str, ...], permission: str, on: Target) -> Decision:
    denied, allowing = effective.deciding(read.grants, permission, on)
    reason = read.refusal or ("denied" if denied else GRANTED if allowing else "no-grant")
    return Decision(names, permission, on, reason, tuple(allowing) if reason == GRANTED else ())


def _object(obj: Any) -> Target:
    alias = getattr(getattr(obj, "_state", None), "db", None)
    if alias not in (None, settings.DATABASE):
        raise Misuse(
            f"This object was read from DATABASES[{alias!r}], but permissions hold for effects in "
            f"{settings.DATABASE!r} (SECURECORE['DATABASE']). Read it with .using({settings.DATABASE!r}): a replica "
            f"may show what is no longer so."
        )
    return target_of(obj)
