"""The base of securecore's commands: output, confirmation, exit codes and common options are the same in each.

Text from outside cannot move the cursor or forge a line: every character that is not printable is escaped.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import OperationalError, ProgrammingError
from django.utils.dateparse import parse_datetime

from securecore import audit
from securecore.conf import settings
from securecore.database.missing_tables import missing_tables
from securecore.errors import Busy, Misuse, Refused
from securecore.management.terminal_logs import without_events
from securecore.management.thumbprints import ThumbprintParser
from securecore.texts import is_storable, shown

#: Exit codes, beside 0 (done) and argparse's 2 (the arguments cannot be understood); docs/commands.md.
FAILED, NOT_CONFIRMED, BUSY = 1, 3, 4
#: The exit code of a list whose reader left, as ``head`` does: 128 and the number of SIGPIPE, as a shell reports it.
READER_LEFT = 141
#: The actions that print rows. If there is no row, they say so on stderr: silence looks like a broken command.
_LISTS = {"list", "callers", "crls", "expiring"}


class TerminalCommand(BaseCommand):
    """A command that prints by ``say()`` and ``show()`` only, and nothing but errors with ``-v 0``."""

    _is_silent = _as_json = _has_header = _has_result = _outlasts_reader = False

    def say(self, *fields: str, error: bool = False, always: bool = False) -> None:
        """Print a line of fields, with tabs between them. A tab or a line break inside a field is escaped.

        ``-v 0`` silences it, unless it is an error or ``always`` printed: text that exists nowhere else.
        """
        self._has_result = self._has_result or not error
        if error or always or not self._is_silent:
            try:
                (self.stderr if error else self.stdout).write("\t".join(shown(field) for field in fields))
            except BrokenPipeError:
                self._lose_reader()

    def _lose_reader(self) -> None:
        """Print no more. A list ends. A change goes on to its end, so that ``| head`` does not cut it in half."""
        self._is_silent = True
        # Python flushes the standard streams once more at its exit, and would then report the closed pipe itself.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
                continue
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not self._outlasts_reader:
            raise SystemExit(READER_LEFT)

    def show(self, **fields: Any) -> None:
        """Print one result: its values with tabs between them, on a terminal below their names, or as JSON."""
        if self._as_json:
            self.say(json.dumps(fields, cls=DjangoJSONEncoder))
            return
        if not self._has_header and self.stdout.isatty():
            self.say(*fields)
        self._has_header = True
        self.say(*map(_text, fields.values()))

    def done(self, sentence: str, **fields: Any) -> None:
        """Print the result of a change: a sentence, or with ``--json`` the fields."""
        if self._as_json:
            self.show(**fields)
        else:
            self.say(sentence)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask the operator, unless ``--yes`` has answered. Without a terminal nobody can answer, so nothing is done."""
        self.stdout.flush()  # the operator reads the rows before the question
        if yes:
            return
        if not sys.stdin.isatty():
            raise CommandError(f"{question} Nothing was changed: confirm with --yes.", returncode=NOT_CONFIRMED)
        if input(f"{shown(question)} Type yes to go on: ").strip().lower() != "yes":
            raise CommandError("Nothing was changed.", returncode=NOT_CONFIRMED)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command as the operator (``--operator``), and turn a refusal into an exit code.

        The text of a ``CommandError`` may quote a file or an argument, so it is escaped.
        """
        values = [item for value in options.values() for item in (value if isinstance(value, list) else [value])]
        if not all(is_storable(value) for value in values if isinstance(value, str)):
            # Python decodes bytes that are no UTF-8 to halves of surrogate pairs, which no database stores.
            raise CommandError("An argument holds NUL or bytes that are no UTF-8.")
        self._is_silent = options.get("verbosity") == 0
        self._as_json, self._has_header, self._has_result = bool(options.get("as_json")), False, False
        self._outlasts_reader = "operator" in options  # an option of each change
        try:
            by, reason = audit.operator(options.get("operator") or ""), options.get("reason") or ""
            with without_events(), audit.acting(by, reason=reason):
                return self._execute_and_flush(*args, **options)
        except CommandError as error:
            raise CommandError(shown(str(error)), returncode=error.returncode) from error.__cause__
        except Busy:
            text = "A transaction held a lock for longer than LOCK_TIMEOUT, and nothing was changed: run it again."
            raise CommandError(text, returncode=BUSY) from None
        except (Misuse, Refused) as error:
            raise CommandError(shown(str(error))) from None
        except OperationalError as error:
            with contextlib.suppress(OperationalError):  # a database that is away names no table either
                require_tables()
            text = f"The database {settings.DATABASE!r} does not answer, and nothing was changed: {error}"
            raise CommandError(shown(text), returncode=BUSY) from None
        except ProgrammingError:
            require_tables()
            raise

    def _execute_and_flush(self, *args: Any, **options: Any) -> str | None:
        """Run the command and write its buffered lines: often the last write alone shows that the reader has left."""
        try:
            result = super().execute(*args, **options)
            if options.get("action") in _LISTS and not self._has_result and not self._is_silent:
                self.say("Nothing was found.", error=True)
            return result
        except CommandError:
            self._outlasts_reader = True  # the error is worth more than the exit code of a list
            raise
        finally:
            try:
                self.stdout.flush()
            except BrokenPipeError:
                self._lose_reader()


class Actions:
    """The actions of a command. Each has ``--json``, and one that changes rows has the operator and the reason too."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(dest="action", required=True, parser_class=ThumbprintParser)

    def add(self, name: str, *, help: str, changes: bool = False, asks: bool = False) -> argparse.ArgumentParser:
        """Return the parser of a new action. One that ``asks`` has ``--yes``."""
        parser = self._parsers.add_parser(name, help=help)
        _add_options_of_django(parser)
        add_common(parser, changes=changes, asks=asks)
        return parser


def _add_options_of_django(parser: argparse.ArgumentParser) -> None:
    """Take Django's options behind the action too: ``securecore_sessions list -v 0``.

    They have no default here, since argparse copies the values of an action over those before the action.
    """
    hidden: dict[str, Any] = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), **hidden)
    for name in ("--settings", "--pythonpath"):
        parser.add_argument(name, **hidden)
    for name in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        parser.add_argument(name, action="store_true", **hidden)


def add_common(parser: argparse.ArgumentParser, *, changes: bool = False, asks: bool = False) -> None:
    """Add the options that every command or action has."""
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object a line")
    if changes:
        parser.add_argument("--operator", help="your name, for the audit")
        parser.add_argument("--reason", help="your reason, for the audit, for example a ticket")
    if asks:
        parser.add_argument("--yes", "--no-input", action="store_true", help="do not ask for a confirmation")


def require_tables(returncode: int = FAILED) -> None:
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


def instant(text: str) -> dt.datetime:
    """Return the instant of an argument in ISO 8601."""
    try:
        value = parse_datetime(text)
    except ValueError:
        value = None
    if value is None or value.utcoffset() is None:
        raise argparse.ArgumentTypeError("write an instant with a time zone, for example 2026-11-28T08:00:00Z")
    return value


_UNITS = {"m": 60, "h": 3_600, "d": 86_400}


def duration(text: str) -> dt.timedelta:
    """Return the duration of an argument: ``30m``, ``2h`` or ``7d``."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", text)
    if match is None:
        raise argparse.ArgumentTypeError("write minutes, hours or days, for example 30m, 2h or 7d")
    return dt.timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _text(value: Any) -> str:
    """Return a value for a line: ``-`` for none, an instant to the second."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, (list, tuple)):
        return " ".join(map(_text, value)) or "-"
    return str(value)
