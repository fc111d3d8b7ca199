"""The examples of docs/callers-of-an-api.md work as they stand, against the demo, in each installed language."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from demo_project.stack import Stack
from tests.support.tree import ROOT

PAGE = (ROOT / "docs" / "callers-of-an-api.md").read_text()
EXAMPLES = dict(re.findall(r"^```(sh|python|js|java)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
#: The name of the file, and the program that runs it.
PROGRAMS = {
    "sh": ("pay.sh", "sh"),
    "python": ("pay.py", "python3"),
    "js": ("pay.mjs", "node"),
    "java": ("Pay.java", "java"),
}


def test_each_language_has_an_example() -> None:
    assert list(EXAMPLES) == list(PROGRAMS)


def test_page_is_short() -> None:
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(prose.split()) <= 430


@pytest.mark.parametrize("language", PROGRAMS)
def test_example_pays(language: str, stack: Stack, tmp_path: Path) -> None:
    name, program = PROGRAMS[language]
    found = shutil.which(program)
    if found is None or (language == "java" and shutil.which("javac") is None):
        pytest.skip(f"{program} is not installed: whether the example of {language} works is not known")
    for file in ("ca.pem", "alice.pem", "alice.key", "alice.p12"):
        shutil.copy(stack.pki / file, tmp_path)
    (tmp_path / name).write_text(EXAMPLES[language].replace("https://pay.example", stack.url))
    environ = {"PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [found, name], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stderr
    payment = json.loads(ran.stdout)
    assert (payment["to"], payment["amount"]) == ("bob", 250), payment
