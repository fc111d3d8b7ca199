"""Wheels of this tree, and environments that have them and their requirements, without an index."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.tree import ROOT

#: Each distribution, and the folder of its pyproject.toml.
FOLDERS = {"securecore": ".", "securecore-client": "client", "securecore-scan": "scanner"}


def build_wheels(folder: Path, *names: str) -> dict[str, Path]:
    """Build the wheels of these distributions, each in a folder of its own below ``folder``."""
    building = {}
    for name in names:
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / name)]
        building[name] = subprocess.Popen(
            command, cwd=ROOT / FOLDERS[name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    for process in building.values():
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said
    return {name: next((folder / name).glob("*.whl")) for name in names}


def link_required(library: Path, requirements: list[str]) -> None:
    """Link the installed distributions of ``requirements``, and those that they require, into ``library``.

    Nothing else of this environment is there, so a program that needs more fails.
    """
    for needed in _required(requirements):
        for name in {path.parts[0] for path in needed.files or [] if path.parts[0] not in ("..", "__pycache__")}:
            if not (library / name).exists():
                (library / name).symlink_to(Path(str(needed.locate_file(name))))


def _required(requirements: list[str], extra: str = "") -> Iterator[Distribution]:
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            found = distribution(requirement.name)
            yield found
            for inner in requirement.extras or {""}:
                yield from _required(found.requires or [], inner)


if __name__ == "__main__":
    requirements = distribution("securecore").requires or []
    link_required(Path(sys.argv[1]), [*(each for each in requirements if "extra ==" not in each), *sys.argv[2:]])
