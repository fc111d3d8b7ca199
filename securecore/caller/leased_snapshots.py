"""Snapshots that serve further requests of the same caller for ``LEASE_MS``; see ``securecore.leases``."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import database, leases, meters
from securecore.caches import BoundedCache
from securecore.caller.query import Lookup
from securecore.caller.snapshot import Snapshot, read
from securecore.caller.user_table import user_table
from securecore.conf import settings

#: Snapshots of the last ``LEASE_MS``, by the credentials of the request and the search path; see ``leases``.
_leased: BoundedCache[Snapshot] = BoundedCache(seconds=leases.seconds, clock=leases.clock)


def read_or_lease(lookup: Lookup, now: dt.datetime) -> tuple[Snapshot, bool]:
    """Return the snapshot for ``lookup``, and whether it was read for an earlier request.

    A snapshot that is read in a transaction is not leased: it may hold uncommitted rows, or rows as they were when the
    transaction began.
    """
    connection = database.connection()
    if not settings.LEASE_MS or connection.in_atomic_block or why_not_leased(connection):
        return _measured(lookup, now), False
    name = lookup, _search_path(connection)
    leased = _leased.get(name)
    if leased is not None:
        meters.LEASES.add("leased")
        return leased, True
    began = leases.clock()
    snapshot = _measured(lookup, now)
    if snapshot.may_be_shared:
        # Two keys if the read opened the connection, since only an open connection reports its search path. The next
        # request may come with an open connection or without.
        for key in {name, (lookup, _search_path(connection))}:
            _leased.put(key, snapshot, since=began)
    return snapshot, False


def _measured(lookup: Lookup, now: dt.datetime) -> Snapshot:
    meters.LEASES.add("read")
    with meters.ONE_QUERY.timed("caller"):
        return read(lookup, now)


def why_not_leased(connection: BaseDatabaseWrapper) -> str:
    """Return the reason that forbids leases in this project, or an empty string.

    The key of a lease names the request's credentials. If a manager or a database backend chooses a tenant for each
    request, that tenant is not in the key, and one tenant could get the rows of another.
    """
    table = user_table()
    if table.is_filtered:
        return f"{type(table.model._default_manager).__name__} may filter the users of each request"
    if not database.is_djangos_own(connection):
        return f"the database backend {type(connection).__module__} may switch to a schema of a tenant"
    return ""


def _search_path(connection: Any) -> str | None:
    """Return the schemas in which the next statement looks for tables, or None if they are not known.

    PostgreSQL 18 reports each change of the search path, so reading it costs no round trip. An older PostgreSQL does
    not report it, and neither does a connection that is not open yet.
    """
    if connection.vendor != "postgresql" or connection.connection is None:
        return None
    reported: str | None = connection.connection.info.parameter_status("search_path")
    return reported
