"""Keep the events of a command off the operator's terminal, where the command itself prints its result."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from securecore.events import GateHolderEnded
from securecore.events.emission import logger


@contextmanager
def without_events() -> Iterator[None]:
    """Drop the audited events of the block from each log handler that writes to a terminal.

    ``securecore.json_logs.LOGGING`` writes to stderr, so a line of JSON would stand between a question and its answer.
    A handler that writes elsewhere, also to a stderr that is a file or a pipe, keeps every event.
    """
    handlers = [handler for handler in _handlers() if _writes_to_terminal(handler)]
    for handler in handlers:
        handler.addFilter(_is_no_audited_event)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_is_no_audited_event)


def _is_no_audited_event(record: logging.LogRecord) -> bool:
    """Keep errors, warnings of other code, and the one event of a change that has no audit row."""
    return getattr(record, "event", None) in (None, GateHolderEnded.name)


def _writes_to_terminal(handler: logging.Handler) -> bool:
    stream: Any = getattr(handler, "stream", None)
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # no stream, or a closed one
        return False


def _handlers() -> Iterator[logging.Handler]:
    """Yield each handler that gets the records of the events' logger."""
    current: logging.Logger | None = logger
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None
