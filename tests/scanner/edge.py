"""A real nginx in front of a service of this process."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from demo_project import pki
from demo_project.stack import nginx_binary
from tests.support.ports import free_port

_CONFIGURATION = """
daemon off; pid nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_buffer_size 1m; client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {{
    listen 127.0.0.1:{port} ssl; server_name localhost; http2 {http2};
    ssl_certificate server.pem; ssl_certificate_key server.key; ssl_client_certificate ca.pem;
    ssl_protocols TLSv1.2 TLSv1.3; 
    {settings}
    location / {{ proxy_pass {upstream}; proxy_set_header Early-Data $ssl_early_data; proxy_set_header Host $host;
      proxy_set_header X-Serial $ssl_client_serial; proxy_set_header X-Reused $ssl_session_reused; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path, upstream: str, *settings: str, http2: bool = True) -> Iterator[str]:
    """Run nginx with the demo's certificates, written to ``folder``, and these settings. Yield its URL."""
    pki.prepare(folder, now=dt.datetime.now(dt.UTC))
    port = free_port()
    text = _CONFIGURATION.format(
        port=port, upstream=upstream, settings="\n".join(settings), http2="on" if http2 else "off"
    )
    (folder / "nginx.conf").write_text(text)
    command = [str(nginx_binary()), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    log = folder / "nginx.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"https://localhost:{port}"
    finally:
        process.terminate()
        process.wait(20)


def certificates(folder: Path) -> list[object]:
    """Return the options of a scan with the demo's certificates."""
    options: list[object] = ["--ca", folder / "ca.pem"]
    for prefix, name in (("", "alice"), ("second-", "bob")):
        options += [f"--{prefix}cert", folder / f"{name}.pem", f"--{prefix}key", folder / f"{name}.key"]
    return options
