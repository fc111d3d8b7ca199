"""Record every event of a block, as the signal sends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.test import TestCase

from securecore.conf import settings
from securecore.events import Event, happened


@contextmanager
def recorded() -> Iterator[list[Event]]:
    """`with recorded() as events:` appends each event to the list until the block ends."""
    events: list[Event] = []

    def record(*, event: Event, **_: Any) -> None:
        events.append(event)

    happened.connect(record)
    try:
        # Events that wait for the commit, which never comes inside a TestCase, are sent at the end of the block.
        with TestCase.captureOnCommitCallbacks(using=settings.DATABASE, execute=True):
            yield events
    finally:
        happened.disconnect(record)


def of_kind(events: list[Event], kind: type[Event]) -> list[Any]:
    """Return the events of one class."""
    return [event for event in events if type(event) is kind]
