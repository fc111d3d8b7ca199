"""The terminal of an operator: a pipe that its reader closes, and the options that Django gives each command."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import BaseCommand, call_command, get_commands, load_command_class

from securecore.management.terminal import READER_LEFT
from securecore.models import Certificate
from tests.support.tree import ROOT

#: A program with a command that prints lines and ends with an exit code. It needs no database.
PROGRAM = """
import sys
import django
django.setup()
from django.core.management import CommandError
from securecore.management.terminal import TerminalCommand
class Command(TerminalCommand):
    requires_system_checks = ()
    def handle(self, *args, **options):
        for number in range(int(sys.argv[1])):
            self.show(number=number, more="x" * 50)
        if sys.argv[2] == "found":
            raise SystemExit(1)
        if sys.argv[2] == "failed":
            raise CommandError("It failed.")
Command().run_from_argv(["manage.py", "many"])
"""


@pytest.mark.parametrize(
    ("lines", "ends", "code", "error"),
    [
        (50_000, "done", READER_LEFT, ""),
        (3, "done", READER_LEFT, ""),
        (3, "found", READER_LEFT, ""),
        (3, "failed", 1, "CommandError: It failed.\n"),
    ],
)
def test_a_list_ends_silently_when_its_reader_leaves(lines: int, ends: str, code: int, error: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    command = [sys.executable, "-c", PROGRAM, str(lines), ends]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (code, error)


#: A program with a command that emits an audited event and one that is not, with the log of a service on stderr.
LOGGED = """
import logging.config
import django
django.setup()
from securecore import events
from securecore.json_logs import LOGGING
from securecore.management.terminal import TerminalCommand
logging.config.dictConfig(LOGGING)
class Command(TerminalCommand):
    requires_system_checks = ()
    def handle(self, *args, **options):
        events.emit(events.KeyRetired(kid="retired"))
        events.emit(events.GateHolderEnded(principals=("user:1",), pid=7))
        logging.getLogger("project").warning("of the project")
        self.done("done")
Command().run_from_argv(["manage.py", "logged"])
events.emit(events.KeyRetired(kid="after"))
"""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_audited_event_is_logged_beside_the_result_only_without_a_terminal(is_terminal: bool) -> None:
    ours, theirs = os.openpty() if is_terminal else os.pipe()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    try:
        subprocess.run(
            [sys.executable, "-c", LOGGED],
            cwd=ROOT,
            env=environment,
            stderr=theirs,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        logged = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert ("retired" in logged.replace("key-retired", "")) is not is_terminal
    assert all(text in logged for text in ("gate-holder-ended", "of the project", '"kid": "after"'))


@pytest.fixture
def closed_pipe() -> Iterator[io.TextIOBase]:
    """Return a file that nobody reads, and that writes each line at once."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as pipe:
        yield io.TextIOWrapper(pipe, write_through=True)


@pytest.mark.django_db(transaction=True)
def test_a_change_goes_on_when_its_reader_leaves(closed_pipe: io.TextIOBase) -> None:
    thumbprints = ["A" * 43, "B" * 42 + "A"]
    call_command("securecore_certificates", "revoke", *thumbprints, stdout=closed_pipe)
    assert Certificate.objects.exclude(revoked_at=None).count() == 2


OF_DJANGO = {
    *("-v", "--verbosity", "--settings", "--pythonpath", "--traceback"),
    *("--no-color", "--force-color", "--skip-checks"),
}


def parsers_of_actions() -> list[argparse.ArgumentParser]:
    found: list[argparse.ArgumentParser] = []
    for name, app in sorted(get_commands().items()):
        if name.startswith("securecore_") and str(app) == "securecore":
            parser = load_command_class("securecore", name).create_parser("manage.py", name)
            actions: list[Any] = [each for each in parser._actions if each.dest == "action"]
            found += [each for action in actions for each in action.choices.values()]
    return found


@pytest.mark.parametrize("parser", parsers_of_actions(), ids=lambda parser: parser.prog.partition(" ")[2])
def test_an_action_takes_the_options_of_django(parser: argparse.ArgumentParser) -> None:
    """Django's parser has them before the action; an operator types them behind it."""
    taken = {text for action in parser._actions for text in action.option_strings}
    assert taken >= OF_DJANGO


def test_these_are_the_options_of_django() -> None:
    class Nothing(BaseCommand):
        pass

    parser = Nothing().create_parser("manage.py", "nothing")
    own = {text for action in parser._actions for text in action.option_strings}
    assert own - {"-h", "--help", "--version"} == OF_DJANGO


@pytest.mark.django_db(transaction=True)  # the command closes its connections
@pytest.mark.parametrize(
    "words", [["-v", "0", "list"], ["list", "-v", "0"], ["list", "--verbosity=0"], ["list", "-v0", "--json"]]
)
@pytest.mark.parametrize("name", ["securecore_keys", "securecore_audit"])
def test_silence_may_stand_before_or_behind_the_action(
    name: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    load_command_class("securecore", name).run_from_argv(["manage.py", name, *words])
    assert capsys.readouterr() == ("", "")
    load_command_class("securecore", name).run_from_argv(["manage.py", name, "list"])


LISTS = {
    "securecore_certificates": ("list --find deadbeef", "list --pending", "expiring", "crls"),
    "securecore_sessions": ("list",),
    "securecore_tokens": ("list", "list --client nobody"),
    "securecore_clients": ("list",),
    "securecore_grants": ("list", "list --permission nothing.make", "callers nothing.make"),
    "securecore_lock": ("list",),
    "securecore_signature_keys": ("list", "list --revoked"),
    "securecore_audit": ("list", "list --request-id nothing"),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "action"), [(name, action) for name, each in LISTS.items() for action in each])
def test_a_list_that_finds_nothing_says_so(name: str, action: str) -> None:
    for option, expected in ((), "Nothing was found."), (("--json",), "Nothing was found."), (("-v", "0"), ""):
        out, told = io.StringIO(), io.StringIO()
        call_command(name, *action.split(), *option, stdout=out, stderr=told)
        assert out.getvalue() == ""
        assert expected in told.getvalue()
        assert bool(expected) == ("Nothing was found." in told.getvalue())


def test_each_list_of_a_command_is_in_this_test() -> None:
    named = {name for name, app in get_commands().items() if app == "securecore" and name.startswith("securecore_")}
    with_lists = {name for name in named if "list" in _actions(name)}
    assert with_lists - {"securecore_keys"} == set(LISTS), "securecore_keys always lists those of the settings"


def _actions(name: str) -> set[str]:
    parser = load_command_class("securecore", name).create_parser("manage.py", name)
    found = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return {action for each in found for action in each.choices}
