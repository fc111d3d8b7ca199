"""Start a coordinator and two workers on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.postgres import CannotStart, Server

WORKERS = 2
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "shared_preload_libraries": "citus",
    "citus.node_conninfo": "sslmode=disable",
    # A test of a few rows needs no 32 shards of each table.
    "citus.shard_count": "4",
}
#: securecore sets lock_timeout for a transaction, by set_config(). That reaches no worker, where the rows are locked.
_OF_A_WORKER = {"lock_timeout": "10000"}


@dataclass(frozen=True)
class Cluster:
    """The running servers; the first is the coordinator."""

    servers: list[Server]

    @property
    def coordinator(self) -> str:
        """The URL of the database ``postgres`` of the coordinator."""
        return self.servers[0].url

    def make_database(self, name: str) -> str:
        """Create a database with Citus on every server, and join them; return the coordinator's URL of it."""
        urls = [server.url.rpartition("/")[0] + f"/{name}" for server in self.servers]
        for server, url in zip(self.servers, urls, strict=True):
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute("SET citus.enable_create_database_propagation = off")
                connection.execute(f"CREATE DATABASE {name}")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION citus")
        with psycopg.connect(urls[0], autocommit=True) as connection:
            ports = [psycopg.conninfo.conninfo_to_dict(url)["port"] for url in urls]
            connection.execute("SELECT citus_set_coordinator_host('127.0.0.1', %s::int)", [ports[0]])
            for port in ports[1:]:
                connection.execute("SELECT citus_add_node('127.0.0.1', %s::int)", [port])
        return urls[0]


@contextlib.contextmanager
def cluster(binaries: Path) -> Iterator[Cluster]:
    """Start the servers from ``binaries``; stop them and remove their files behind the block. Raises ``CannotStart``.

    Call it in the main thread, because the kernel ends the servers with the thread that started them.
    """
    if not (binaries.parent / "share" / "extension" / "citus.control").exists():
        raise CannotStart(f"no Citus beside {binaries}: the docstring of tools/citus says how to build it")
    owner = "nobody" if os.geteuid() == 0 else None
    with contextlib.ExitStack() as stack:
        servers = []
        for number, port in enumerate(_free_ports(1 + WORKERS)):
            directory = Path(tempfile.mkdtemp(prefix="securecore-citus-", dir="/tmp"))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            if owner:
                shutil.chown(directory, owner)
            server = Server(
                binaries, directory, owner, _OPTIONS | {"port": str(port)} | (_OF_A_WORKER if number else {})
            )
            server.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            server.initialize()
            stack.callback(server.stop)
            server.start()
            servers.append(server)
        yield Cluster(servers)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
