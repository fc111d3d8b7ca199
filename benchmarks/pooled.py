"""Let Django connect through a PgBouncer in transaction mode, where no statement of a client may stay prepared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.db import connection

from demo_project.children import Children
from tools.chaos.pgbouncer import pgbouncer


@contextmanager
def through_pgbouncer(*, pool_size: int = 3) -> Iterator[None]:
    """Connect through a new PgBouncer during the block, and directly again after it. Raises ``CannotStart``."""
    direct = {name: connection.settings_dict[name] for name in ("HOST", "PORT")}
    of = connection.settings_dict
    server = f"postgresql://{of['USER']}:{of['PASSWORD']}@/{of['NAME']}?host={of['HOST']}"
    server += f"&port={of['PORT']}" if of["PORT"] else ""
    with tempfile.TemporaryDirectory(prefix="securecore-pgbouncer-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PgBouncer gives up root, and keeps its socket in a folder below
        children = Children(folder=folder, logs=folder)
        try:
            address = urlsplit(pgbouncer(children, folder, server, pool_size=pool_size)).netloc.rpartition("@")[2]
            host, _, port = address.rpartition(":")
            connection.close()
            connection.settings_dict |= {"HOST": unquote(host), "PORT": port}
            yield
        finally:
            connection.close()
            connection.settings_dict |= direct
            children.stop()
