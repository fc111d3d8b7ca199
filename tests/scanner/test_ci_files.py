"""The files for continuous integration: valid, and every option in them exists."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

from securecore_scan import cli
from tests.scanner.conftest import ROOT

FOLDER = ROOT / "scanner" / "ci"


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def command(script: str) -> list[str]:
    """Return the words of the call of the scanner, with variables replaced by values of their kind."""
    line = re.search(r"securecore-scan \"\$(?:.|\\\n)+?(?=\|\||$|\n\n)", script.replace("\\\n", " "))
    assert line, script
    text = re.sub(r'"\$\{more\[@\]\}"|\$SCAN_ARGUMENTS', "--plan plan.toml", line[0])
    values = {"URL": "http://localhost", "BUDGET": "5m", "FAIL_ON": "high", "LOCATION": "openapi.json"}
    text = re.sub(r"\$(?:SCAN_)?(\w+)", lambda found: values[found[1]], text)
    return shlex.split(text)[1:]


@pytest.mark.parametrize("name", ["action.yml", "gitlab.yml"])
def test_command_is_valid(name: str) -> None:
    document = read(name)
    steps = document["runs"]["steps"] if name == "action.yml" else document["securecore-scan"]["script"]
    scripts = [one.get("run", "") if isinstance(one, dict) else one for one in steps]
    script = next(text for text in scripts if 'securecore-scan "' in text)
    options = cli.parser().parse_args(command(script))
    assert options.url == "http://localhost"
    assert (options.budget, options.fail_on) == (300.0, "high")
    assert len(options.output) >= 3


def test_action_runs_no_input_as_a_command() -> None:
    """An input within ``run`` would be pasted into the shell before the shell quotes it."""
    for step in read("action.yml")["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_action_writes_the_summary_before_it_fails() -> None:
    script = read("action.yml")["runs"]["steps"][-1]["run"]
    assert "|| code=$?" in script
    assert script.index("GITHUB_STEP_SUMMARY") < script.index('exit "$code"')


def test_image_runs_without_root() -> None:
    lines = (FOLDER / "Containerfile").read_text().splitlines()
    assert "USER scan" in lines
    assert lines.index("USER scan") < lines.index('ENTRYPOINT ["securecore-scan"]')
