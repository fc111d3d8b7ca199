"""Every event that happens in a block, as the signal tells it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from securecore.events import Event, happened


@contextmanager
def recorded() -> Iterator[list[Event]]:
    """`with recorded() as events:` fills the list as long as the block runs."""
    events: list[Event] = []

    def record(*, event: Event, **_: Any) -> None:
        events.append(event)

    happened.connect(record)
    try:
        yield events
    finally:
        happened.disconnect(record)


def of_kind(events: list[Event], kind: type[Event]) -> list[Any]:
    """Those of one class."""
    return [event for event in events if type(event) is kind]
