"""Read the amount that a request consumes from the request. ``securecore.grants`` subtracts it from the allowance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from securecore.errors import AmountRefused

#: Types of JSON and form values that are no amount. A request never contains another type, for example ``Decimal``:
#: such a value comes from the program, and ``grants`` raises ``Misuse`` for it.
_SENT = (bool, float, str, list, dict)


def sent_amount(read: Callable[[], Any]) -> int | None:
    """Return the amount that ``read`` takes from the request. Raises ``AmountRefused`` (400) if there is none.

    ``read`` is ``consume=`` of ``@requires`` or ``GrantedView.consumed()``, for example
    ``lambda request: request.data["amount"]``. That function raises ``KeyError`` for the body ``{}``, raises
    ``TypeError`` for ``[]``, and returns a string for ``{"amount": "1"}``. Each of the three bodies is a mistake of
    the client.
    """
    try:
        amount = read()
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise AmountRefused from error
    if isinstance(amount, _SENT):
        raise AmountRefused
    return amount  # type: ignore[no-any-return]
