"""Child processes that end with this process, however this process ends.

As a program, ``children.py PARENT COMMAND...``, this file asks the kernel to kill it when process PARENT ends. Then it
replaces itself by COMMAND.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Seconds between SIGTERM and SIGKILL. gunicorn gives running requests five seconds.
STOP_TIMEOUT = 10

_PR_SET_PDEATHSIG = 1


class ChildEnded(Exception):
    """A child ended too early. The message names the child and quotes the end of its log."""


class Children:
    """Named processes. Each process runs in ``folder`` and writes ``logs``/NAME.log, which each start replaces.

    Start them in the main thread: the kernel kills them when the thread that started them ends (prctl(2)).
    """

    def __init__(self, *, folder: Path, logs: Path) -> None:
        self.folder = folder
        self.logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], inherit: Sequence[int] = ()
    ) -> None:
        """Start ``command`` as NAME. The child keeps the file descriptors in ``inherit`` open."""
        # Not a preexec_fn: Python code between fork and exec can deadlock on a lock that another thread held at the
        # fork.
        tether = [sys.executable, "-IS", __file__, str(os.getpid())]
        with self._log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603
                [*tether, *command],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal reaches this process only, which then ends its children in order.
                start_new_session=True,
                pass_fds=inherit,
            )

    def finish(self, name: str) -> None:
        """Wait until NAME ends by itself. Raises ``ChildEnded`` if its exit code is not 0."""
        if self._running[name].wait():
            raise ChildEnded(self._obituary(name))
        del self._running[name]

    def check(self) -> None:
        """Raise ``ChildEnded`` if a child has ended."""
        for name, child in self._running.items():
            if child.poll() is not None:
                raise ChildEnded(self._obituary(name))

    def signal(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    def stop(self) -> None:
        """End all children, and return when none is left. May be called at any time, and twice."""
        for child in self._running.values():
            child.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT
        for child in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0, deadline - time.monotonic()))
            # Each child leads a process group. The signal to the group also reaches a worker that outlived its master.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self._running.clear()

    def _obituary(self, name: str) -> str:
        log = self._log(name)
        lines = log.read_text(errors="replace").splitlines()
        # The message of a traceback is its last line, the first line that is not indented.
        last = [line for line in lines if line[:1].strip() and not line.startswith("Traceback")][-4:]
        status = self._running[name].returncode
        return "\n    ".join([f"{name} ended with status {status}; its log is {log}", *last])

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def _become(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
