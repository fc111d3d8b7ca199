"""Each command line of the manual can be typed: its action, options and values exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from tests.support.tree import ROOT

PAGES = [ROOT / "docs" / "commands.md", *sorted((ROOT / "docs" / "runbooks").glob("*.md"))]
#: A line of a block, or a command in backticks.
LINE = re.compile(r"^ +manage\.py (securecore_.*?)(?:\s+#.*)?$|`(?:manage\.py )?(securecore_\w+ [^`]+)`", re.MULTILINE)
#: A placeholder of the manual, and a value for it.
VALUES = {"ID": "0b0e7a30-5f0e-4b3c-9d2f-4c6f6a0f2b11", "THUMBPRINT": "A" * 43, "IDENTIFIER": "B" * 43}


def command_lines() -> list[str]:
    found = [match[1] or match[2] for page in PAGES for match in LINE.finditer(page.read_text())]
    return sorted({line.partition(" | ")[0] for line in found})


def test_the_manual_has_every_command() -> None:
    page = PAGES[0].read_text()
    own = [name for name, app in get_commands().items() if str(app) == "securecore" and name.startswith("securecore_")]
    assert own
    assert not [name for name in own if f"| `{name}` |" not in page]


def test_there_are_command_lines() -> None:
    assert len(command_lines()) > 40
    assert len(PAGES) == 15


@pytest.mark.parametrize("line", command_lines())
def test_command_line_can_be_typed(line: str) -> None:
    name, *words = shlex.split(re.sub(r"[\[\]]", "", line.partition(" |")[0]))
    if not words or words == ["disable"]:
        return  # the name of a command or action in a sentence
    parser = load_command_class("securecore", name).create_parser("manage.py", name)
    try:
        parser.parse_args([VALUES.get(word, word) for word in words])
    except (CommandError, SystemExit) as error:
        pytest.fail(f"manage.py {line}: {error}")


def test_the_runbooks_are_in_their_index() -> None:
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    names = {path.name for path in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == names
    assert Path(ROOT / "docs" / "runbooks").is_dir()
