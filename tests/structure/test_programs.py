"""The programs of the Makefile start without Django's settings, as ``make`` starts them."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.support.tree import ROOT

#: Programs with an environment of their own.
ELSEWHERE = {"tools.manual", "tools.release"}


def programs() -> list[str]:
    """Return the modules of this project that the Makefile runs, but for the fuzzers, which need their library."""
    named = set(re.findall(r"-m ((?:benchmarks|tools|tests\.support)[\w.]*)", (ROOT / "Makefile").read_text()))
    return sorted(named - ELSEWHERE)


def test_every_program_of_the_makefile_can_be_imported() -> None:
    """The suite has settings, so that a program may import Django's models there, and fail under ``make``."""
    modules = [f"{name}.__main__" if (ROOT / name.replace(".", "/")).is_dir() else name for name in programs()]
    assert len(modules) > 10
    environ = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    script = "import importlib, sys\nfor module in sys.argv[1:]: importlib.import_module(module)"
    run = subprocess.run(
        [sys.executable, "-c", script, *modules],
        cwd=ROOT,
        env=environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
