"""The files work for every reader: no machine's paths, no registry's address."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.tree import files, relative

NOT_PORTABLE = re.compile(
    r"(?<![\w.$])/(?:root|work|home/\w+|Users/\w+|opt/pypi)/"  # a folder of one machine
    r"|(?:pypi|pythonhosted|npmjs)\.(?:org|com)|deb\.debian\.org"  # a package registry's host
    r"|(?:index-url|find-links|trusted-host)"  # a package registry's setting
)
LAZY = "from __future__ import annotations"


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def test_files_name_no_machine_and_no_registry() -> None:
    texts = {relative(path): text_of(path) for path in files() if path != Path(__file__)}
    assert not {path: found[0] for path, text in texts.items() if (found := NOT_PORTABLE.search(text))}


def test_annotations_are_lazy() -> None:
    modules = [path for path in files(".py") if "migrations" not in path.parts and path.name != "__init__.py"]
    assert not [relative(path) for path in modules if LAZY not in path.read_text() and "def " in path.read_text()]
