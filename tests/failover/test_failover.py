"""A link that is cut, and one real failover. ``make failover`` runs ten, in three ways."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.ports import free_port
from tests.support.tree import ROOT
from tools.failover.cluster import VENV


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


def test_a_cut_link_holds_bytes_back_and_a_mended_one_delivers_them(server: socket.socket) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tools.failover.links", f"cable:{port}:{server.getsockname()[1]}"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as links:
        assert links.stdin
        assert links.stdout

        def order(text: str) -> None:
            assert links.stdin
            assert links.stdout
            print(text, file=links.stdin, flush=True)
            assert links.stdout.readline() == "done\n"

        assert links.stdout.readline() == "ready\n"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as near:
            far, _ = server.accept()
            with far:
                far.settimeout(10)
                near.sendall(b"one")
                assert far.recv(9) == b"one"
                order("cut cable")
                near.sendall(b"two")
                far.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    far.recv(9)
                far.settimeout(10)
                order("mend cable")
                assert far.recv(9) == b"two"
        links.stdin.close()


@pytest.mark.skipif(not VENV.exists(), reason="make failover installs Patroni and etcd into .venv-failover")
def test_a_killed_primary_loses_nothing() -> None:
    command = [sys.executable, "-m", "tools.failover", "--rounds", "1", "--impatient"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("^GOOD: 0 nonces accepted twice, 0 proofs", done.stdout, re.MULTILINE), done.stdout
