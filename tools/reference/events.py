"""docs/reference/events.md: the events with their payloads."""

from __future__ import annotations

import dataclasses
import logging

from securecore.events import Event, every_event
from tools.reference.prose import WRITTEN, paragraph, row

HEAD = f"""# Events

{WRITTEN}
Each event is a line of the logger `securecore`, with the payload under `extra`, and a signal
`securecore.events.happened` with `event=`. No event holds a secret, a token or a session id. Django's default `LOGGING`
drops INFO: give the logger `securecore` a handler and the level `INFO`.

| event | level | payload | when |
|---|---|---|---|"""


def page() -> str:
    """Return the text of the page."""
    events = [event for event in every_event() if event.__module__.startswith("securecore.")]
    return "\n".join([HEAD, *(_row(event) for event in sorted(events, key=lambda event: event.name))]) + "\n"


def _row(event: type[Event]) -> str:
    payload = ", ".join(f"`{field.name}`" for field in dataclasses.fields(event) if field.name not in ("name", "level"))
    generated = (event.__doc__ or "").startswith(f"{event.__name__}(")
    return row(f"`{event.name}`", logging.getLevelName(event.level), payload, "" if generated else paragraph(event))
