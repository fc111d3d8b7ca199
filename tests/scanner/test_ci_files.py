"""The files for continuous integration: every option in them exists, and their lines run in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from securecore_scan import cli
from securecore_scan.scope import check_url
from tests.scanner.conftest import ROOT
from tests.scanner.known.notes import Notes
from tests.scanner.service import serving

FOLDER = ROOT / "scanner" / "ci"
pytestmark = pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")


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


@pytest.mark.parametrize("name", ["action.yml", "gitlab.yml", "Containerfile"])
def test_example_names_a_url_that_the_scanner_accepts(name: str) -> None:
    head = "\n".join(line for line in (FOLDER / name).read_text().splitlines() if line.startswith("#"))
    urls = re.findall(r"https?://[^\s\"]+", head)
    hosts = frozenset(re.findall(r"--allow-host (\S+)", head))
    assert urls
    for url in urls:
        check_url(url, hosts)


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


@pytest.fixture
def runner(tmp_path: Path) -> dict[str, str]:
    """The environment of a pipeline in an empty folder, where the package is installed already."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in (
        ("python", '[ "$1 $2 $3" = "-m pip install" ]'),
        ("securecore-scan", f'exec {shlex.quote(sys.executable)} -m securecore_scan "$@"'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return {"PATH": path, "PYTHONPATH": str(ROOT / "scanner"), "GITHUB_STEP_SUMMARY": "summary.md"}


def run_lines(name: str, folder: Path, environ: dict[str, str], url: str, arguments: str) -> int:
    """Run the lines of a file as its runner does, and return the exit code."""
    document = read(name)
    if name == "action.yml":
        script = document["runs"]["steps"][-1]["run"]
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        given = {"URL": url, "ARGUMENTS": arguments, "LOCATION": "openapi.json", "BUDGET": "60s", "FAIL_ON": "medium"}
        given["REQUIREMENT"] = "securecore-scan"
    else:
        job = document["securecore-scan"]
        shell = ["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])]
        given = {**job["variables"], "SCAN_URL": url, "SCAN_ARGUMENTS": arguments}
    return subprocess.run(shell, cwd=folder, env=environ | given, check=False, timeout=600).returncode


@pytest.mark.parametrize("name", ["action.yml", "gitlab.yml"])
def test_lines_run_in_an_empty_folder(name: str, tmp_path: Path, runner: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    with serving(Notes(weak=True).answer) as weak:
        arguments = "--only SC-BOLA --only $(touch${IFS}pwned)"
        assert run_lines(name, folder, runner, weak.url, arguments) == 2, "no input is run as a command"
        assert list(folder.glob("pwned")) == []
        assert run_lines(name, folder, runner, weak.url, "--only SC-BOLA") == 1
    with serving(Notes(weak=False).answer) as mended:
        assert run_lines(name, folder, runner, mended.url, "--only SC-BOLA") == 0
    written = {"action.yml": {"scan.sarif", "scan.md", "summary.md"}, "gitlab.yml": {"scan.xml"}}[name]
    assert {path.name for path in folder.iterdir()} == {"scan.html", "scan.json", *written}
    if name == "action.yml":
        assert (folder / "summary.md").read_text().count("## ") == 2
