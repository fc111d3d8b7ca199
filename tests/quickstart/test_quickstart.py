"""docs/quickstart.md as a newcomer follows it: an empty folder, the built wheels, a real nginx, every line."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from demo_project.stack import nginx_binary
from tests.support.distributions import build_wheels
from tests.support.manual import Block, run_blocks, shell_blocks
from tests.support.ports import free_port
from tests.support.tree import ROOT

BLOCKS = shell_blocks("quickstart.md")
#: Other tests run at the same time, also in other processes.
NAME = f"shop{os.getpid()}"
PORT = free_port()
RUN = Path("/run", f"{NAME}-{PORT}") if os.geteuid() == 0 else Path("deploy", "run")
#: The requirements of the wheel and gunicorn come from the environment of the tests, in place of an index.
PIP = f"""
pip() {{
    (cd {ROOT} && {sys.executable} -m tests.support.distributions "$VIRTUAL_ENV"/lib/python3*/site-packages gunicorn)
    command pip "$@"
}}
"""
#: People need longer than gunicorn to reach the next block.
WAIT = f'echo $! > "$HOME/gunicorn.pid"; for _ in $(seq 300); do [ -S {RUN}/app.sock ] && break; sleep 0.1; done\n'


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty folder, with nginx and Python on PATH; no process of the page is left behind."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nginx").symlink_to(nginx_binary())
    (tmp_path / "bin" / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    yield tmp_path
    for pid in (tmp_path / "gunicorn.pid", RUN / "nginx.pid", tmp_path / NAME / RUN / "nginx.pid"):
        with suppress(OSError, ValueError):  # the page has stopped it
            os.kill(int(pid.read_text()), signal.SIGTERM)
    if os.geteuid() == 0:
        shutil.rmtree(RUN, ignore_errors=True)


def adapted(block: Block, port: int) -> Block:
    """Return the block with a name and a port of its own."""
    commands = block.commands.replace("--development", f"--development --port {port}").replace("8443", str(port))
    commands = commands.replace("shop", NAME).replace("gunicorn.conf.py &\n", f"gunicorn.conf.py & {WAIT}")
    return Block(commands, block.expected)


def test_every_line_of_the_quickstart(place: Path) -> None:
    wheels = build_wheels(place / "wheels", "securecore", "securecore-client")
    blocks = [Block(PIP, ""), *(adapted(block, PORT) for block in BLOCKS)]
    environ = {
        "PATH": f"{place}/bin:{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": " ".join(str(wheel.parent) for wheel in wheels.values()),
    }
    printed = run_blocks(blocks, place, environ=environ)
    for block, output in zip(blocks, printed, strict=True):
        assert not block.expected or block.matches(output), f"{block.commands}\nprinted\n{output}"
    assert sum(bool(block.expected) for block in BLOCKS) == 5
