"""Print the commands' output so that text from outside cannot move the cursor or forge a line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, ProgrammingError

from securecore.conf import settings
from securecore.database.missing_tables import missing_tables
from securecore.texts import is_storable, shown


class TerminalCommand(BaseCommand):
    """A command that prints by ``say()`` only."""

    def say(self, *fields: str, error: bool = False) -> None:
        """Print a line of fields, with tabs between them. A tab or a line break inside a field is escaped."""
        (self.stderr if error else self.stdout).write("\t".join(shown(field) for field in fields))

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command. The text of a ``CommandError`` may quote a file or an argument, so it is escaped too."""
        values = [item for value in options.values() for item in (value if isinstance(value, list) else [value])]
        if not all(is_storable(value) for value in values if isinstance(value, str)):
            # Python decodes bytes that are no UTF-8 to halves of surrogate pairs, which no database stores.
            raise CommandError("An argument holds NUL or bytes that are no UTF-8.")
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            raise CommandError(shown(str(error)), returncode=error.returncode) from error.__cause__
        except (OperationalError, ProgrammingError):
            require_tables()
            raise


def require_tables(returncode: int = 1) -> None:
    """Raise ``CommandError`` if ``migrate`` has not created securecore's tables (``securecore.W707``)."""
    if missing_tables():
        raise CommandError(
            f"The database {settings.DATABASE!r} lacks tables of securecore. Run manage.py migrate --database "
            f"{settings.DATABASE}, with the settings of the service.",
            returncode=returncode,
        )


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return the ``type`` of an argument that is a whole number from ``low`` to ``high``."""

    def number(text: str) -> int:
        value = int(text) if len(text) < 20 else high + 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"it must be from {low} to {high}")
        return value

    return number
