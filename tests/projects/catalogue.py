"""The projects of the compatibility table, their descriptions, and the results of a run."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.projects.variants import VARIANTS
from tests.support.tree import ROOT

_USERS = Path(__file__).parent / "users"
_ABSENT = "absent"
#: Seconds. A project takes about two on an idle machine.
_LONGEST_RUN = 300


@dataclass(frozen=True)
class Project:
    """A project that ``tests.projects.run`` can run, by its name: ``users/uuid_key``."""

    name: str
    said: str
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    #: The modules of packages that the project needs.
    needs: tuple[str, ...] = ()

    @property
    def lacks(self) -> list[str]:
        """Return the modules that are not installed."""
        return [module for module in self.needs if find_spec(module) is None]

    @property
    def ways(self) -> tuple[str, ...]:
        """Return the ways of DJANGO_PERMISSIONS under which the project runs."""
        return ("off", "on") if self.name.startswith("users/") else ("off",)


def users() -> list[Project]:
    """Return a project for each user model."""
    needs, only = {"polymorphic_users": ("polymorphic",)}, {"schema_table": ("postgresql",)}
    models = sorted(path.parent for path in _USERS.glob("*/models.py"))
    return [
        Project("users/plain", "Django's own ``User``."),
        *(
            Project(
                f"users/{path.name}",
                (ast.get_docstring(ast.parse((path / "models.py").read_text())) or "").partition("\n")[0],
                only.get(path.name, ("sqlite", "postgresql")),
                needs.get(path.name, ()),
            )
            for path in models
        ),
    ]


def settings() -> list[Project]:
    """Return a project for each change of settings."""
    return [Project(f"settings/{name}", each.said, each.databases, each.needs) for name, each in VARIANTS.items()]


def results(project: Project) -> dict[str, str]:
    """Run a project on the database of TEST_DATABASE_URL, and return its cell of the table for each way.

    Raises ``AssertionError`` with the tracebacks of the promises that do not hold.
    """
    command = [sys.executable, "-m", "tests.projects.run", project.name]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=_LONGEST_RUN, check=False)
    assert ran.returncode == 0, ran.stderr
    return {way: _cell(columns) for way, columns in json.loads(ran.stdout).items()}


def _cell(columns: dict[str, str]) -> str:
    if columns["start"].startswith("securecore."):
        return f"refused: {columns['start'].replace('securecore.', '')}"
    failed = {name: result for name, result in columns.items() if result not in ("", _ABSENT)}
    assert not failed, "\n".join(f"{name}:\n{traceback}" for name, traceback in failed.items())
    return f"{list(columns.values()).count('')} of {len(columns) - list(columns.values()).count(_ABSENT)}"
