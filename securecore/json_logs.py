"""Write logs as lines of JSON, with the request id and the actor in each line (``LOGGING``).

This module reads no settings, so a settings module may import it.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from typing import Any

from securecore import actors


class JSONFormatter(logging.Formatter):
    """One JSON object a line: instant, level, logger, message, request id, actor, and the payload of an event.

    The request id and the actor belong to the running request, so that the lines of Django, of the project and of
    securecore can be joined. Line breaks and control characters inside a value are escaped by JSON.
    """

    def format(self, record: logging.LogRecord) -> str:
        actor = actors.actor()
        line: dict[str, Any] = {
            "at": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": getattr(record, "event", None),
            "message": record.getMessage(),
            "payload": getattr(record, "payload", None),
            "request_id": actor.request_id or None,
            "actor": actor.name or actor.kind,
            "address": actor.address or None,
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
        }
        if line["event"] is not None:
            del line["message"]  # it repeats the event and its payload
        return json.dumps({name: value for name, value in line.items() if value is not None}, default=str)


#: A complete ``LOGGING`` for a service: JSON on stderr, which systemd or the container's runtime collects.
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "securecore.json_logs.JSONFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "securecore": {"level": "INFO"},
        "django": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        # securecore logs each refusal as an event, so Django's line about the same response is left out.
        "django.request": {"level": "ERROR"},
    },
}
