"""Sends a request as TLS 1.3 early data (RFC 8446 section 2.3), by the program ``openssl``.

Python's ssl module cannot send early data. A header such as ``Early-Data: 1`` is no early data, so no header stands in
for it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from securecore_scan.client.lost_response import http1
from securecore_scan.client.request import Request
from securecore_scan.client.transport import Transport
from securecore_scan.outcomes import Inconclusive

_TIMEOUT = 10.0
_STATUS = re.compile(r"^HTTP/1\.[01] (\d{3})", re.MULTILINE)


@dataclass(frozen=True)
class EarlyAnswer:
    """``accepted``: the server read the early data. ``status``: that of the response, if there is one."""

    accepted: bool
    status: int | None


class EarlyData:
    """One resumable TLS session of the owner. Raises ``Inconclusive`` without the program ``openssl``."""

    def __init__(self, transport: Transport, folder: Path) -> None:
        program = shutil.which("openssl")
        if program is None:
            raise Inconclusive("the program openssl, which sends early data, is not on PATH")
        self._program, self._transport, self._folder = program, transport, folder
        self._session = folder / "session.pem"

    def is_offered(self) -> bool:
        """Make a connection, keep its session, and say whether the server lets it carry early data."""
        said = self._run(["-sess_out", str(self._session)], http1(self._transport, Request("GET", "/")))
        if _STATUS.search(said) is None:
            raise Inconclusive("openssl got no response from the port, so nothing is known of its early data")
        sizes = [int(size) for size in re.findall(r"Max Early Data: (\d+)", said)]
        return max(sizes, default=0) > 0 and self._session.is_file()

    def send(self, request: Request) -> EarlyAnswer:
        """Send a request as early data of the kept session. The same call again is a replay of the same session."""
        file = self._folder / "request"
        file.write_bytes(http1(self._transport, request))
        said = self._run(["-sess_in", str(self._session), "-early_data", str(file)], b"")
        status = _STATUS.search(said)
        return EarlyAnswer("Early data was accepted" in said, int(status[1]) if status else None)

    def _run(self, more: list[str], content: bytes) -> str:
        host, port = self._transport.address
        self._transport.budget.spend()
        command = [self._program, "s_client", "-connect", f"{_bracketed(host)}:{port}", "-tls1_3", "-ign_eof", *more]
        command += ["-servername", host] if not host.replace(".", "").isdigit() and ":" not in host else []
        identity = self._transport.identity("owner")
        if identity is not None:
            command += ["-cert", str(identity.cert), "-key", str(identity.key)]
        # No variable of the environment chooses a configuration or authorities.
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("OPENSSL_", "SSL_"))}
        try:
            done = subprocess.run(  # noqa: S603
                command, input=content, env=environ, capture_output=True, timeout=_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired as error:
            return (error.stdout or b"").decode("latin-1")
        if done.stdout:
            self._transport.budget.record_handshake()
        return done.stdout.decode("latin-1")


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for the session, which only this user can read."""
    return tempfile.TemporaryDirectory(prefix="securecore-scan-")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
