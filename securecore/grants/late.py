"""``late_gate``: a long view that enters the gate only at its end. Decision 11 of docs/decisions has the reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from securecore import database
from securecore.grants.authorization import Clock, Principal, Required, checked_target, decide_all, decision_of
from securecore.grants.limits import checked_amount
from securecore.grants.permission_names import require_permission
from securecore.grants.principals import names_of
from securecore.grants.query import caller_state
from securecore.grants.query.caller_state import BoundCondition


class LateGate:
    """The permissions that a long view requires before it enters the gate; see ``late_gate``."""

    def __init__(
        self,
        names: tuple[str, ...],
        conditions: tuple[BoundCondition, ...],
        clock: Clock,
        note: Callable[[str, Any], None] | None = None,
    ) -> None:
        self._names = names
        self._conditions = conditions
        self._clock = clock
        self._note = note
        self._required: list[tuple[Required, int | None]] = []
        self._spends = True

    def require(self, permission: str, obj: Any = None, *, consume: int | None = None) -> None:
        """Raise ``PermissionDenied`` (403) unless the caller may do this now. ``close()`` checks it again."""
        on, consume = checked_target(obj), checked_amount(consume)
        require_permission(permission)
        state = caller_state.read(self._names, [permission], self._conditions, now=self._clock())
        decision_of(state, self._names, permission, on).require()
        self._required.append(((permission, on), consume))
        if self._note:
            self._note(permission, obj)

    def spend_nothing(self) -> None:
        """Let ``close()`` count no use of an allowance, since the block had no effect."""
        self._spends = False

    def abandon(self) -> None:
        """Forget the required permissions, since the caller rolls the transaction back."""
        self._required.clear()

    def close(self) -> None:
        """Enter the gate and check every required permission again, in two statements for any number of them."""
        if not self._required:
            return
        required = [required for required, _ in self._required]
        decisions = decide_all(self._names, required, conditions=self._conditions, clock=self._clock)
        for decision, (_, consume) in zip(decisions, self._required, strict=True):
            decision.require()
            if self._spends:
                decision.spend(amount=consume, now=self._clock())


@contextmanager
def late_gate(
    principal: Principal,
    *,
    conditions: Sequence[BoundCondition] = (),
    clock: Clock,
    note: Callable[[str, Any], None] | None = None,
) -> Iterator[LateGate]:
    """Run a long block that enters the gate only at its end, so that a revocation need not wait for the whole block.

    ::

        with late_gate(principal_of(user), clock=clock.now) as late:
            late.require("reports.create")
            ...  # slow
            Report.objects.create(...)

    Each ``require()`` reads the permission at once, without a lock. The last statements before the commit enter the
    gate and read every permission again; if one was revoked in between, the transaction rolls back. Opens or joins the
    outermost transaction. ``note`` is called with each permission and object that ``require()`` granted.
    """
    with database.outermost_transaction("late_gate()"):
        late = LateGate(names_of(principal), tuple(conditions), clock, note)
        yield late
        late.close()
