"""The configuration files of a cluster: Patroni's for each member, and HAProxy's for the way to the primary."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Seconds, the smallest that Patroni accepts: the lock of a silent primary ends after ``TTL``.
TTL, LOOP_WAIT, RETRY_TIMEOUT = 20, 1, 3


@dataclass(frozen=True)
class Ports:
    """The ports of one member. The three parts are reached by links; their names begin with the member's name."""

    postgresql: int
    rest: int
    #: The member as the application sees it, and as the other members see it: two links to ``postgresql``.
    for_application: int
    for_members: int
    rest_link: int
    etcd_link: int


def patroni(name: str, ports: Ports, folder: Path, binaries: Path, *, synchronous: bool) -> dict[str, Any]:
    """Return the configuration of the member ``name``. JSON is YAML, so ``json.dumps`` writes it."""
    parameters = {
        "max_connections": 100,
        "shared_buffers": "32MB",
        "synchronous_commit": "on",
        "wal_keep_size": "512MB",
        # Without fsync the files survive the death of every process, which is all that a round causes.
        "fsync": "off",
        "hot_standby_feedback": "on",
    }
    dynamic = {
        "ttl": TTL,
        "loop_wait": LOOP_WAIT,
        "retry_timeout": RETRY_TIMEOUT,
        "primary_start_timeout": 0,  # promote at once, rather than wait for the old primary
        "maximum_lag_on_failover": 64 * 1024 * 1024,
        "synchronous_mode": synchronous,
        "synchronous_node_count": 2,
        "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": parameters},
    }
    account = {"username": "postgres"}
    return {
        "scope": "securecore",
        "name": name,
        # use_proxies: by the link only, and not by the address that etcd announces.
        "etcd3": {"hosts": f"127.0.0.1:{ports.etcd_link}", "use_proxies": True},
        "restapi": {"listen": f"127.0.0.1:{ports.rest}", "connect_address": f"127.0.0.1:{ports.rest_link}"},
        "bootstrap": {"dcs": dynamic, "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "no-sync"]},
        "postgresql": {
            "listen": f"127.0.0.1:{ports.postgresql}",
            "connect_address": f"127.0.0.1:{ports.for_members}",
            "data_dir": str(folder / name),
            "bin_dir": str(binaries),
            "pgpass": str(folder / f"{name}.pgpass"),
            "authentication": {"superuser": account, "replication": account, "rewind": account},
            "pg_hba": [f"{account} all 127.0.0.1/32 trust" for account in ("host all", "host replication")],
            "parameters": {"unix_socket_directories": str(folder)},
        },
    }


def haproxy(port: int, members: dict[str, Ports]) -> str:
    """Return HAProxy's configuration: the template of Patroni's manual, with a check each half second.

    ``shutdown-sessions`` matters: a request that waits for a frozen primary ends when its check fails.
    """
    servers = "\n".join(
        f"    server {name} 127.0.0.1:{ports.for_application} check port {ports.rest_link}"
        for name, ports in members.items()
    )
    return f"""
global
    maxconn 400
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout check 1s
listen primary
    bind 127.0.0.1:{port}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 500ms fastinter 200ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def write(path: Path, configuration: dict[str, Any]) -> None:
    path.write_text(json.dumps(configuration, indent=1))
