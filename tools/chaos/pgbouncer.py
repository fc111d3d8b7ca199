"""Start PgBouncer, by default in transaction mode: each transaction may run on another server connection."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg

from demo_project.children import Children
from tests.support.postgres import CannotStart

START_TIMEOUT = 10  # seconds

_INI = """
[databases]
* = {behind}
[pgbouncer]
pool_mode = {mode}
listen_port = 6432
listen_addr =
unix_socket_dir = {sockets}
auth_type = any
max_client_conn = 200
default_pool_size = {pool_size}
server_login_retry = 1
ignore_startup_parameters = extra_float_digits
"""


def binary() -> str | None:
    """Return the path of pgbouncer, or None. Some distributions install it in a folder of root's PATH only."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def pgbouncer(children: Children, folder: Path, url: str, *, pool_size: int = 12, mode: str = "transaction") -> str:
    """Start PgBouncer in front of the server at ``url``; return the address of the same database through PgBouncer.

    PgBouncer shares ``pool_size`` server connections among up to 200 clients. Raises ``CannotStart``.
    """
    program = binary()
    if program is None:
        raise CannotStart("no pgbouncer on PATH; on Debian: apt install pgbouncer")
    sockets = folder / "pgbouncer"
    sockets.mkdir()
    sockets.chmod(0o777)  # safe, because only this user may write to the folder above
    server = psycopg.conninfo.conninfo_to_dict(url)
    behind = " ".join(f"{name}={server[name]}" for name in ("host", "port", "user", "password") if name in server)
    (folder / "pgbouncer.ini").write_text(_INI.format(behind=behind, sockets=sockets, pool_size=pool_size, mode=mode))
    # PgBouncer refuses to run as root, as PostgreSQL does.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    children.start("pgbouncer", [program, *user, str(folder / "pgbouncer.ini")], environment=os.environ)
    address = f"postgresql://{server.get('user', 'postgres')}@{quote(str(sockets), safe='')}:6432{urlsplit(url).path}"
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            psycopg.connect(address, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            children.check()
            if time.monotonic() > deadline:
                raise CannotStart(f"pgbouncer does not answer: {error}") from None
            time.sleep(0.05)
        else:
            return address
