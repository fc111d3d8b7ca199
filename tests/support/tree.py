"""The project's own files, as a developer has them: nothing that .gitignore names, and no need for git."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IGNORED = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().split())]


def files(suffix: str = "", *, under: str = "") -> list[Path]:
    """Return every file below the folder `under` of the project that ends in `suffix`."""
    found: list[Path] = []
    for folder, folders, names in os.walk(ROOT / under):
        folders[:] = sorted(name for name in folders if not is_ignored(name))
        found += [Path(folder) / name for name in sorted(names) if name.endswith(suffix) and not is_ignored(name)]
    return found


def sources() -> list[Path]:
    """Every Python file but migrations, which are history and not read as prose."""
    return [path for path in files(".py") if "migrations" not in path.parts]


def is_ignored(name: str) -> bool:
    """Say whether .gitignore names a file or folder of this name."""
    return any(fnmatch(name, pattern) for pattern in IGNORED)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
