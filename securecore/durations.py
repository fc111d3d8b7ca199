"""The check of a duration that the program passes as an argument, in seconds."""

from __future__ import annotations

from typing import Any

from securecore.errors import Misuse
from securecore.texts import quoted

#: Ten years of seconds. Python, PostgreSQL and SQLite can represent ``now`` plus this.
LONGEST = 10 * 366 * 86_400


def check_seconds(call: str, value: Any) -> None:
    """Raise ``Misuse`` unless ``value`` is a number of seconds from above 0 to ten years.

    ``call`` is the spelling of the argument, for example ``@idempotent(retention=)``. NaN is refused: no comparison
    with NaN is true.
    """
    if type(value) in (int, float) and 0 < value <= LONGEST:
        return
    raise Misuse(f"{call.replace('=)', f'={quoted(value)})')}: seconds from above 0 to {LONGEST}, for example 300.")
