"""Durations that a program gives, in seconds."""

from __future__ import annotations

from typing import Any

from securecore.errors import Misuse

#: Ten years of seconds: ``now`` plus that is still an instant that Python, PostgreSQL and SQLite can write.
LONGEST = 10 * 366 * 86_400


def check_seconds(call: str, value: Any) -> None:
    """Raise ``Misuse`` unless ``value`` is a number of seconds from above 0 to ten years.

    ``call`` is the argument as it is written, for example ``@idempotent(retention=)``. NaN is no such number: it is
    neither below nor above any limit.
    """
    if type(value) in (int, float) and 0 < value <= LONGEST:
        return
    raise Misuse(f"{call.replace('=)', f'={value!r})')}: seconds from above 0 to {LONGEST}, for example 300.")
