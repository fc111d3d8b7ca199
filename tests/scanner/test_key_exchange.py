"""A real nginx agrees to the groups of its configuration, and to no other."""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path

from demo_project import pki
from demo_project.stack import nginx_binary
from securecore_scan.client import key_exchange
from tests.scanner.conftest import open_transport
from tests.scanner.edge import nginx


def test_port_agrees_to_its_own_groups_only(tmp_path: Path) -> None:
    with nginx(tmp_path, "http://127.0.0.1:9", "ssl_ecdh_curve secp384r1;") as url, open_transport(url) as transport:
        agreed = {name for name, group in key_exchange.CLASSICAL.items() if key_exchange.agrees(transport, group)}
    assert agreed == {"secp384r1"}


def test_post_quantum_group_is_seen_where_the_library_has_one(tmp_path: Path) -> None:
    """nginx refuses to start with a group that its OpenSSL lacks; then no port agrees to the group."""
    pki.prepare(tmp_path, now=dt.datetime.now(dt.UTC))
    (tmp_path / "probe.conf").write_text(
        "events {} http { server { listen 127.0.0.1:1 ssl; ssl_certificate server.pem; "
        "ssl_certificate_key server.key; ssl_ecdh_curve X25519MLKEM768; } }"
    )
    command = [str(nginx_binary()), "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "probe.conf")]
    is_known = subprocess.run(command, capture_output=True, check=False).returncode == 0
    setting = ("ssl_ecdh_curve X25519MLKEM768:X25519;",) if is_known else ()
    with nginx(tmp_path, "http://127.0.0.1:9", *setting) as url, open_transport(url) as transport:
        agreed = key_exchange.agrees(transport, key_exchange.POST_QUANTUM["X25519MLKEM768"])
    assert agreed == is_known
