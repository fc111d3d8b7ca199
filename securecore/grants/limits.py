"""Checks of the limits of a grant. Without them the database would refuse a bad limit with an error of its own."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Mapping
from typing import Any, TypedDict

from securecore.arguments import require_instant
from securecore.errors import AmountRefused, Misuse
from securecore.texts import quoted

#: The largest ``integer`` and ``bigint`` of PostgreSQL.
LARGEST_INTEGER = 2**31 - 1
LARGEST_BIGINT = 2**63 - 1

_LARGEST = {"uses_limit": LARGEST_INTEGER, "amount_limit": LARGEST_BIGINT, "period": LARGEST_INTEGER}


def checked_amount(amount: Any) -> int | None:
    """Return ``amount`` if it is a valid amount or None.

    Raises ``AmountRefused`` (400) for an integer that is no amount. Zero is no amount: its effect would be free, also
    under an exhausted allowance. Raises ``Misuse`` for another type, for example ``True``, or ``0.49``, which
    PostgreSQL would store as 0.
    """
    if amount is None:
        return None
    if type(amount) is not int:
        raise Misuse(
            f"consume is {quoted(amount)}, and an amount is an int. Count in the smallest unit: "
            f"consume=int(euros * 100)."
        )
    if not 1 <= amount <= LARGEST_BIGINT:
        raise AmountRefused
    return amount


class Limits(TypedDict, total=False):
    """The limits of a grant, as ``grant()`` takes them."""

    valid_from: dt.datetime | None
    valid_until: dt.datetime | None
    uses_limit: int | None
    amount_limit: int | None
    period: int | None


def require_known(limits: Mapping[str, Any]) -> None:
    """Raise ``Misuse`` for a limit that no grant has, for example a misspelled one."""
    for name in limits:
        if name not in Limits.__annotations__:
            nearest = difflib.get_close_matches(name, Limits.__annotations__, n=1) or list(Limits.__annotations__)
            raise Misuse(f"A grant has no {name}=: write {', '.join(f'{each}=' for each in nearest)}.")


def check_limits(
    *,
    now: dt.datetime,
    denies: bool = False,
    valid_from: Any = None,
    valid_until: Any = None,
    uses_limit: Any = None,
    amount_limit: Any = None,
    period: Any = None,
) -> None:
    """Raise ``Misuse`` or ``AmountRefused`` (400) for limits that no grant can have."""
    for name, instant in {"valid_from": valid_from, "valid_until": valid_until}.items():
        if instant is not None:
            require_instant(**{name: instant})
    if valid_from is not None and valid_until is not None and valid_from >= valid_until:
        raise Misuse("valid_until must be later than valid_from; the grant would never count.")
    if valid_until is not None and valid_until <= now:
        raise Misuse(
            f"valid_until={valid_until.isoformat()} is over; the grant would never count. To end a grant, revoke it."
        )
    numbers = {"uses_limit": uses_limit, "amount_limit": amount_limit, "period": period}
    for name, number in numbers.items():
        _check_number(name, number)
    is_limited = uses_limit is not None or amount_limit is not None
    if period is not None and not is_limited:
        raise Misuse("period says when a limit begins again: give uses_limit= or amount_limit= with it.")
    if denies and is_limited:
        raise Misuse("A grant that denies has no uses_limit and no amount_limit: leave them out.")


def _check_number(name: str, number: Any) -> None:
    if number is None:
        return
    if type(number) is not int:  # not isinstance: a bool is an int
        raise Misuse(f"{name} is {quoted(number)}, and must be an int: {name}=10.")
    if not 1 <= number <= _LARGEST[name]:
        raise AmountRefused(f"{name} must be from 1 to {_LARGEST[name]}.")
