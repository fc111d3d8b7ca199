"""The command line: without Django, at a terminal, with --deep, and as reports and manual show it."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import distribution
from pathlib import Path

import jwt
import pytest
from packaging.requirements import Requirement

from securecore_scan import cli
from tests.scanner.conftest import ROOT, scanned
from tests.scanner.service import Answer, serving

PROJECT = tomllib.loads((ROOT / "scanner" / "pyproject.toml").read_text())["project"]
PLAN = """
[session]
read = "/whoami"
[limit]
use = { path = "/redeem" }
prepare = { path = "/voucher" }
"""


def one_use(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
    """Vouchers for one use: the first request gets it."""
    if path == "/voucher":
        unused.append("code")
        return 201, {}, {"code": "a-voucher-code"}
    if path != "/redeem":
        return 404, {}, {}
    try:
        unused.pop()
    except IndexError:
        return 409, {}, {}
    return 200, {}, {}


unused: list[str] = []


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "a plan.toml"
    path.write_text(PLAN)
    return path


class TestWithoutDjango:
    def link(self, folder: Path, name: str, seen: set[str]) -> None:
        """Link the top-level files of a distribution, and of its dependencies, into ``folder``."""
        if name in seen:
            return
        seen.add(name)
        found = distribution(name)
        for file in found.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(found.locate_file(top))))
        for line in found.requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                self.link(folder, needed.name, seen)

    def test_without_django_scan_runs_with_its_declared_dependencies_only(self, tmp_path: Path, plan: Path) -> None:
        """An interpreter without site-packages sees only the dependencies that scanner/pyproject.toml declares."""
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "securecore_scan").symlink_to(ROOT / "scanner" / "securecore_scan")
        seen: set[str] = set()
        for line in PROJECT["dependencies"]:
            self.link(folder, Requirement(line).name, seen)
        alone = [sys.executable, "-S"]
        environ = {"PYTHONPATH": str(folder), "PATH": os.environ["PATH"]}
        missing = subprocess.run([*alone, "-c", "import django"], env=environ, cwd=tmp_path, capture_output=True)
        assert b"No module named 'django'" in missing.stderr
        with serving(one_use) as service:
            command = [*alone, "-m", "securecore_scan", service.url, "--plan", str(plan), "--only", "SC-LIMIT"]
            done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        assert re.search(r"PASS +SC-LIMIT-1", done.stdout)


class TestDeep:
    def test_deep_scan_runs_ten_times_the_rounds(self, plan: Path) -> None:
        arguments = ("--plan", plan, "--only", "SC-LIMIT")
        with serving(one_use) as service:
            standard, deep = scanned(service.url, *arguments), scanned(service.url, *arguments, "--deep")
        assert [run.verdicts for run in (standard, deep)] == [{"SC-LIMIT-1": "PASS"}] * 2, deep.text
        rounds = [re.search(r"not observed in (\d+) rounds", run.text) for run in (standard, deep)]
        assert [found and found[1] for found in rounds] == ["3", "30"]


class TestProgress:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def shown(self, plan: Path, stream: io.StringIO, *arguments: str) -> str:
        """Return the error output of a scan of ten checks, after the sentences that announce it."""
        with serving(one_use) as service, redirect_stdout(io.StringIO()), redirect_stderr(stream):
            cli.main([service.url, "--plan", str(plan), "--only", "SC-LIMIT", "--only", "SC-FIX", *arguments])
        return stream.getvalue()

    def test_terminal_shows_a_progress_bar_and_erases_it(self, plan: Path) -> None:
        shown = self.shown(plan, self.Terminal())
        bars = re.findall(r"\r\033\[K\[(#*)(\.*)\] (\d+)/8 ([^\r]+)", shown)
        assert [int(number) for _, _, number, _ in bars] == list(range(1, 9))
        assert {len(done) + len(left) for done, left, _, _ in bars} == {24}
        assert [len(done) for done, _, _, _ in bars] == list(range(0, 24, 3))
        assert bars[-1][3] == "More concurrent uses than allowed"
        assert shown.endswith("\r\033[K")

    def test_no_progress_without_a_terminal_or_with_quiet(self, plan: Path) -> None:
        assert "\r" not in self.shown(plan, io.StringIO())
        assert self.shown(plan, self.Terminal(), "--quiet") == ""


class TestReproduce:
    def test_reproduce_command_in_the_report_repeats_the_finding(self, plan: Path) -> None:
        """The command is pasted into a shell, and a path contains a blank."""

        def endless(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
            return (200, {}, {"code": "a-voucher-code"}) if method == "POST" else (404, {}, {})

        with serving(endless) as service:
            found = scanned(service.url, "--plan", plan, "--deep", "--only", "SC-LIMIT")
            (result,) = (one for one in found.results if one["verdict"] == "FAIL")
            environ = os.environ | {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": "scanner",
            }
            done = subprocess.run(
                result["reproduce"], shell=True, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
            )
        assert "--deep" in result["reproduce"]
        assert done.returncode == 1, done.stderr
        assert re.search(rf"FAIL +{result['check']} ", done.stdout)
        assert "1 FAIL" in done.stdout


class TestBadOptions:
    @pytest.mark.parametrize("bound", ["--max-requests", "--budget"])
    @pytest.mark.parametrize("value", ["0", "-1", "nan", "many"])
    def test_bad_options_bound_must_be_positive(self, bound: str, value: str) -> None:
        run = scanned("http://localhost:1", f"{bound}={value}")
        assert run.code == 2
        assert bound in run.errors

    def test_bad_options_folder_of_the_report_must_exist(self, plan: Path, tmp_path: Path) -> None:
        with serving(one_use) as service:
            run = scanned(service.url, "--plan", plan, "--output", tmp_path / "none" / "report.json")
        assert run.code == 2
        assert "There is no folder" in run.errors
        assert service.asked == []

    def test_bad_options_report_goes_to_standard_output_if_the_file_cannot_be_written(
        self, plan: Path, tmp_path: Path
    ) -> None:
        with serving(one_use) as service:
            more = ("--output", tmp_path, "--output", tmp_path / "report.md")
            run = scanned(service.url, "--plan", plan, "--only", "SC-LIMIT", *more)
        assert run.code == 2
        assert run.verdicts == {"SC-LIMIT-1": "PASS"}
        assert "Cannot write" in run.errors
        assert "SC-LIMIT-1" in (tmp_path / "report.md").read_text()


def test_error_in_one_check_does_not_end_the_next(tmp_path: Path) -> None:
    """The key set is malformed: PyJWT raises an error of a class of its own."""
    token = jwt.encode({"jti": "1", "exp": 4_000_000_000}, "a secret of the service, long enough")
    answers: dict[str, Answer] = {
        "/token": (200, {}, {"access_token": token}),
        "/jwks": (200, {}, {"keys": [{"kty": "nonsense"}]}),
    }

    def odd(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        known = 200 if headers.get("authorization") == f"Bearer {token}" else 401
        return answers.get(path, (known, {}, {"user": "alice"}))

    path = tmp_path / "plan.toml"
    path.write_text('[tokens]\nrequest = { path = "/token" }\nuse = "/whoami"\njwks = "/jwks"\n')
    with serving(odd) as service:
        found = scanned(service.url, "--plan", path, "--only", "SC-FORGE")
    assert (found.verdicts["SC-FORGE-1"], found.verdicts["SC-FORGE-2"], found.verdicts["SC-FORGE-3"]) == (
        "PASS",
        "ERROR",
        "PASS",
    )
    assert found.code == 3


class TestTheManual:
    MANUAL = (ROOT / "docs" / "scanner.md").read_text()

    def test_the_manual_commands_are_valid(self) -> None:
        commands = re.findall(r"securecore-scan (https?://(?:\\\n|[^\n])+)", self.MANUAL)
        assert len(commands) >= 5
        for command in commands:
            words = shlex.split(command.replace("\\\n", " ").partition(" || ")[0])
            assert cli.parser().parse_args(words).url.startswith("http")

    def test_the_manual_deployment_step_is_a_valid_shell_script(self) -> None:
        script = self.MANUAL.split("```sh\n")[1].split("```")[0]
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)

    @pytest.mark.parametrize(("code", "deployed"), [(0, True), (1, False), (2, False), (3, False)])
    def test_the_manual_deployment_step_deploys_after_exit_code_0_only(
        self, tmp_path: Path, code: int, deployed: bool
    ) -> None:
        for name, line in (("securecore-scan", f"exit {code}"), ("deploy", "touch deployed")):
            (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / name).chmod(0o755)
        script = self.MANUAL.split("```sh\n")[1].split("```")[0]
        done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
        assert (tmp_path / "deployed").exists() == deployed
        assert done.returncode == {0: 0, 3: 3}.get(code, 1)
