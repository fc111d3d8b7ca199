"""Run a command, and read the lines or the JSON that it prints."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command


def lines(*arguments: str, **options: Any) -> list[list[str]]:
    """Return the lines that the command prints, each split into its fields."""
    return [line.split("\t") for line in printed(*arguments, **options).splitlines()]


def objects(*arguments: str) -> list[dict[str, Any]]:
    """Return the JSON objects that the command prints with ``--json``."""
    return [json.loads(line) for line in printed(*arguments, "--json").splitlines()]


def printed(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=StringIO(), **options)
    return out.getvalue()


def exit_code(*arguments: str) -> int:
    """Return the exit code of the command."""
    try:
        call_command(*arguments, stdout=StringIO(), stderr=StringIO())
    except CommandError as error:
        return int(error.returncode)
    except SystemExit as error:
        return int(str(error.code))
    return 0
