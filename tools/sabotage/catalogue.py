"""Every sabotage, and the test that must fail for it.

A test that cannot fail proves nothing. Each promise of the project has at least one entry: the smallest change that
breaks the promise, and the test that turns red. ``make sabotage`` runs all entries.

An entry names a definition and a change inside it, for example::

    [[sabotage]]
    name = "grants: a check takes no gate"
    promise = "after a revocation returned no effect commits under it"
    within = "authorization.decide_all"
    replace = "gate.enter(names)"
    by = "None"
    test = "tests/races/test_races.py::TestGrantRevokedUnderLoad::test_grant_revoked_under_load_is_never_outrun"
    database = "postgresql"

``within`` is the end of the dotted name of exactly one definition, so a moved file needs no new entry. ``replace``
occurs once in that definition. Each space in ``replace`` matches any white space, so formatting needs no new entry. For
a file without Python definitions, such as nginx's configuration, an entry names the ``file`` instead.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.tree import ROOT
from tools.sabotage import definitions


@dataclass(frozen=True, kw_only=True)
class Sabotage:
    """A change that breaks ``promise``; the pytest node ``test`` must fail on ``database``."""

    name: str
    promise: str
    replace: str
    by: str
    test: str
    within: str = ""
    file: str = ""
    database: Literal["sqlite", "postgresql"] = "sqlite"

    def fault(self) -> str:
        """Return the reason why this entry does not fit the present tree, or an empty string."""
        if bool(self.within) is bool(self.file):
            return "an entry names either a definition (within) or a file"
        try:
            path, start, end = self._place()
        except (definitions.NotFound, OSError) as error:
            return str(error)
        text = path.read_text()
        count = len(re.findall(_pattern(self.replace), text[start:end]))
        if count != 1:
            return f"its text stands {count} times in {self.within or self.file}"
        return _syntax_error(path, text[:start] + self._changed(text[start:end]) + text[end:])

    def apply(self, root: Path) -> tuple[Path, str]:
        """Change the copy of the project at ``root``. Return the changed file and its original text."""
        path, start, end = self._place()
        copied = root / path.relative_to(ROOT)
        text = copied.read_text()
        copied.write_text(text[:start] + self._changed(text[start:end]) + text[end:])
        return copied, text

    def _changed(self, text: str) -> str:
        """Return ``text`` with the change. White space around the replaced text stays as it is."""
        by = self.by.lstrip() if self.replace[:1].isspace() else self.by
        by = by.rstrip() if self.replace[-1:].isspace() else by
        return re.sub(_pattern(self.replace), lambda _: by, text)

    def _place(self) -> tuple[Path, int, int]:
        if self.file:
            path = ROOT / self.file
            return path, 0, len(path.read_text())
        definition = definitions.find(self.within)
        return definition.file, definition.start, definition.end


def _pattern(text: str) -> str:
    return r"\s+".join(map(re.escape, text.split()))


def _syntax_error(path: Path, text: str) -> str:
    """Return the error of a changed Python file: a test that fails by it shows nothing about the promise."""
    try:
        if path.suffix == ".py":
            compile(text, str(path), "exec")
    except SyntaxError as error:
        return f"the changed file is no Python: {error}"
    return ""


def load() -> tuple[Sabotage, ...]:
    """Return the entries of every ``.toml`` file in this folder."""
    lists = sorted(Path(__file__).parent.glob("*.toml"))
    return tuple(Sabotage(**entry) for path in lists for entry in tomllib.loads(path.read_text())["sabotage"])


CATALOGUE = load()
