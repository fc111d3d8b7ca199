"""Measure the cost of one operation, and print the needs of a service of a given size.

    python -m tests.support.postgres -- python -m benchmarks.capacity [--calls 2000] [--json]

For each operation: microseconds of processor time in this process and in its PostgreSQL backend, bytes of WAL, and
bytes of the rows with their indexes. Processor time, unlike wall time, changes little while other programs run. The
sizes follow from these by ``MIX``, and by nothing else: change a number, and run the program again.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.auth_settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from benchmarks.auth_peers import _session, peers  # noqa: E402
from securecore import clock, digests, idempotency, replay, revocation, tokens  # noqa: E402
from securecore.conf import Settings  # noqa: E402
from securecore.models import IdempotencyRecord, RefreshToken, RevokedToken, SeenNonce, Session  # noqa: E402

#: The size of the service: requests a second, and callers.
SIZES = ((1_000, 100_000), (10_000, 1_000_000), (100_000, 10_000_000))
#: The mix of a service: the shares of requests with a nonce and with an idempotency key, the share of callers that are
#: active at one time, each with a token family, and the share of tokens that are revoked before their end.
MIX = {"nonce": 0.2, "key": 0.1, "active": 0.05, "revoked": 0.01}
#: Seconds that a row stays.
_KEY_LIFE = 86_400
#: One server: cores for PostgreSQL at two thirds of 32, and WAL that a network of 10 Gbit/s and three disks carry.
SERVER = {"cores": 21.0, "wal": 300e6}
BINDING = f"x5t#S256:{'k' * 43}"


@dataclass
class Cost:
    """One operation: microseconds of the application and of PostgreSQL, bytes of WAL, bytes of the rows."""

    application: float
    postgresql: float
    wal: float
    row: float = 0.0


def operations(user: User) -> dict[str, tuple[Callable[[], object], str]]:
    """Return each operation, and the table of its row."""
    family = {"user_id": user.pk, "client_id": "c", "binding": BINDING, "certificate": "k" * 43, "scope": ""}
    held = {"token": tokens.refresh.start(**family, rotates=True, now=clock.now())[1]}
    known = peers(user, clock.now())
    request, bare = known["securecore-jwt"].caller(), known["bare"].caller()

    def nonce() -> None:
        now = clock.now()
        replay.claim_nonce(secrets.token_urlsafe(16), scope="user:1", made_at=now, now=now)

    def key() -> None:
        record = digests.record_id("key", secrets.token_urlsafe(16))
        with transaction.atomic():
            claimed = idempotency.claim(record=record, fingerprint=b"f" * 32, now=clock.now())
            assert isinstance(claimed, idempotency.Claim)
            idempotency.store(claimed, idempotency.StoredResponse(201, b"x" * 300))

    def refresh() -> None:
        redeemed = tokens.refresh.redeem(
            presented_token=held["token"], client_id="c", binding=BINDING, certificate="k" * 43, now=clock.now()
        )
        assert isinstance(redeemed, tokens.refresh.Redeemed)
        held["token"] = str(redeemed.token)

    def revoke() -> None:
        revocation.revoke_token(issuer="i", jti=secrets.token_hex(16), expires_at=clock.now())

    return {
        "bare request": (bare, ""),
        "request with a token": (request, ""),
        "nonce": (nonce, SeenNonce._meta.db_table),
        "idempotency key": (key, IdempotencyRecord._meta.db_table),
        "refresh": (refresh, RefreshToken._meta.db_table),
        "revoked token": (revoke, RevokedToken._meta.db_table),
        "session": (lambda: _session("securecore.sessions", user, BINDING), Session._meta.db_table),
    }


def measured(call: Callable[[], object], table: str, calls: int) -> Cost:
    for _ in range(20):
        call()
    process, size, wal = _backend_seconds(), _size(table), _wal()
    own = time.process_time()
    for _ in range(calls):
        call()
    own = time.process_time() - own
    spent = _backend_seconds() - process
    return Cost(own / calls * 1e6, spent / calls * 1e6, (_wal() - wal) / calls, (_size(table) - size) / calls)


def _one(query: str, *parameters: object) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return int(cursor.fetchone()[0])


def _backend_seconds() -> float:
    """Return the processor time of our PostgreSQL backend, which runs on this machine."""
    return int(Path(f"/proc/{_one('SELECT pg_backend_pid()')}/schedstat").read_text().split()[0]) / 1e9


def _wal() -> int:
    return _one("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")


def _size(table: str) -> int:
    if not table:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM {table}")
    return _one("SELECT pg_total_relation_size(%s::regclass)", table)


def needs(costs: dict[str, Cost], rate: int, callers: int) -> dict[str, float]:
    """Return the needs of a service with this rate, these callers, and the default lifetimes."""
    active = callers * MIX["active"]
    tokens_per_second = active / Settings.ACCESS_TOKEN_LIFETIME
    often = {
        "request with a token": float(rate),
        "nonce": rate * MIX["nonce"],
        "idempotency key": rate * MIX["key"],
        "refresh": tokens_per_second,
        "revoked token": tokens_per_second * MIX["revoked"],
    }
    # A claim commits behind a fence of retention(); each active caller has a family with its last day of tokens.
    rows = {
        "nonce": often["nonce"] * replay.store.retention(),
        "idempotency key": often["idempotency key"] * _KEY_LIFE,
        "refresh": tokens_per_second * Settings.REFRESH_ABSOLUTE_TIMEOUT,
        "revoked token": often["revoked token"] * Settings.ACCESS_TOKEN_LIFETIME,
    }
    work = {name: sum(getattr(costs[each], name) * many for each, many in often.items()) for name in ("wal",)}
    database = sum(costs[each].postgresql * many for each, many in often.items()) / 1e6
    added = sum(costs[each].application * many for each, many in often.items()) / 1e6
    added -= costs["bare request"].application * rate / 1e6
    return {
        "nonces": rows["nonce"],
        "keys": rows["idempotency key"],
        "refresh tokens": rows["refresh"],
        "gigabytes": sum(costs[each].row * many for each, many in rows.items()) / 1e9,
        "wal": work["wal"] / 1e6,
        "database": database,
        "application": added,
        # A transaction holds a connection a little longer than its processor time: three times, for waits.
        "connections": 3 * database,
        "servers": max(database / SERVER["cores"], work["wal"] / SERVER["wal"]),
    }


def show(costs: dict[str, Cost]) -> None:
    for name, cost in costs.items():
        row = f"{cost.row:6.0f} bytes a row" if cost.row > 0 else ""
        print(
            f"{name:22} application {cost.application:6.0f} us  PostgreSQL {cost.postgresql:5.0f} us  "
            f"{cost.wal:6.0f} bytes of WAL  {row}".rstrip()
        )
    for rate, callers in SIZES:
        each = needs(costs, rate, callers)
        print(
            f"\n{rate:,} requests/s, {callers:,} callers\n"
            f"  rows: {each['nonces']:,.0f} nonces, {each['keys']:,.0f} keys, {each['refresh tokens']:,.0f} refresh "
            f"tokens; {each['gigabytes']:,.0f} GB\n"
            f"  {each['wal']:,.1f} MB/s of WAL; cores: {each['database']:,.1f} of PostgreSQL, "
            f"{each['application']:,.1f} added to the application; {each['connections']:,.0f} busy connections\n"
            f"  {each['servers']:.2f} servers"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        with override_settings(ROOT_URLCONF="benchmarks.auth_peers"):
            user = User.objects.create_user("alice")
            costs = {name: measured(call, table, arguments.calls) for name, (call, table) in operations(user).items()}
    finally:
        teardown_databases(databases, verbosity=0)
    print(json.dumps({name: vars(cost) for name, cost in costs.items()})) if arguments.json else show(costs)


if __name__ == "__main__":
    main()
