"""The amount that a request consumes, as the request says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from securecore.errors import AmountRefused

#: Values of JSON and of forms that are no amount. Other types, for example ``Decimal``, no request contains: the
#: program made them, and ``grants`` answers them with ``Misuse``.
_SENT = (bool, float, str, list, dict)


def sent_amount(read: Callable[[], Any]) -> int | None:
    """Return the amount that ``read`` finds in the request. Raises ``AmountRefused`` (400) where it finds none.

    ``read`` is ``consume=`` of ``@requires`` or ``GrantedView.consumed()``, for example
    ``lambda request: request.data["amount"]``: for the body ``{}`` it raises ``KeyError``, for ``[]`` ``TypeError``,
    and for ``{"amount": "1"}`` it returns a text. Each of these is a mistake of the sender.
    """
    try:
        amount = read()
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise AmountRefused from error
    if isinstance(amount, _SENT):
        raise AmountRefused
    return amount  # type: ignore[no-any-return]
