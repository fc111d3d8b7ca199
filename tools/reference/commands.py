"""docs/reference/commands.md: the commands of manage.py with their options."""

from __future__ import annotations

import argparse
import pkgutil
from collections.abc import Iterator
from typing import Any

from django.core.management import BaseCommand, load_command_class

from securecore.management import commands
from tools.reference.prose import WRITTEN, in_one_line, row

HEAD = f"""# Commands

{WRITTEN}
Each is a command of `manage.py`. Django's own options, for example `--settings` and `--verbosity`, are left out.
"""


def page() -> str:
    """Return the text of the page."""
    names = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
    return "\n".join([HEAD, *("\n".join(_section(name)) for name in names)])


def _section(name: str) -> Iterator[str]:
    command = load_command_class("securecore", name)
    parser = argparse.ArgumentParser()
    command.add_arguments(_Parser(parser, command))  # type: ignore[arg-type]  # as Django's own, without its options
    yield f"## {name}\n\n{in_one_line(str(command.help))}\n"
    yield from _options(f"manage.py {name}", parser)


class _Parser:
    """The parser of a command, with subparsers of Python's own class."""

    def __init__(self, parser: argparse.ArgumentParser, command: BaseCommand) -> None:
        self.parser, self.command = parser, command

    def __getattr__(self, name: str) -> Any:
        return getattr(self.parser, name)


def _options(call: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    actions = [action for action in parser._actions if action.dest != "help" and action.help != argparse.SUPPRESS]
    verbs = [action for action in actions if isinstance(action, argparse._SubParsersAction)]
    rows = [row(_spelling(action), _explained(action)) for action in actions if action not in verbs]
    if rows:
        yield "\n".join(["| argument | meaning |", "|---|---|", *rows, ""])
    for verb in verbs:
        explained = {choice.dest: choice.help or "" for choice in verb._choices_actions}
        for name, inner in verb.choices.items():
            yield f"`{call} {name}`: {in_one_line(explained.get(name, ''))}\n"
            yield from _options(f"{call} {name}", inner)


def _spelling(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings) or action.dest
    value = action.metavar or (action.dest.upper() if action.option_strings and action.nargs != 0 else "")
    return f"`{names} {value}`" if action.option_strings and value else f"`{names}`"


def _explained(action: argparse.Action) -> str:
    text = in_one_line(action.help or "").replace("%(default)s", str(action.default))
    return f"{text} ({', '.join(map(str, action.choices))})".strip() if action.choices else text
