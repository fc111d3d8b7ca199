"""The system check of the project's logging."""

from __future__ import annotations

import logging
from typing import Any

from django.core.checks import CheckMessage, Warning


def w811_info_events(**_: Any) -> list[CheckMessage]:
    """Report a configuration that drops the events of changes, which are INFO. Django's default does."""
    logger: logging.Logger | None = logging.getLogger("securecore")
    if logger is not None and logger.isEnabledFor(logging.INFO):
        while logger is not None:
            if any(handler.level <= logging.INFO for handler in logger.handlers):
                return []
            logger = logger.parent if logger.propagate else None
    return [
        Warning(
            "The events of revocations, grants and logins are not logged: LOGGING drops records of securecore at INFO.",
            hint="Write `from securecore.json_logs import LOGGING` in the settings. Or add 'securecore': {'level': "
            "'INFO'} to the loggers of your LOGGING, with a handler that takes INFO (docs/metrics.md).",
            id="securecore.W811",
        )
    ]


#: Registered for ``check --deploy`` only: on a developer's machine the missing lines are no danger.
DEPLOY_CHECKS = (w811_info_events,)
