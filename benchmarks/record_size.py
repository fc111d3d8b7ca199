"""Measure the bytes of one live record with its indexes: a nonce of securecore, and the tokens and sessions of peers.

    python -m tests.support.postgres -- python -m benchmarks.record_size [--rows N] [--rate N]

All figures come from one run on one PostgreSQL: ``pg_total_relation_size`` divided by the rows, after VACUUM. The
timestamps of the nonces have a rate of ``--rate`` a second. The goal is at most 120 bytes for a nonce.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.record_settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.contrib.sessions.models import Session as DjangoSession  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken  # noqa: E402
from rest_framework_simplejwt.tokens import RefreshToken  # noqa: E402

from securecore import clock, digests  # noqa: E402
from securecore.conf import settings  # noqa: E402
from securecore.models import SeenNonce  # noqa: E402
from securecore.replay.store import CLAIM  # noqa: E402

BATCH = 5_000


def nonces(rows: int, rate: int) -> None:
    """Insert the rows of ``replay.claim_nonce``, many in one transaction: that changes the time but not the size."""
    start = clock.now().replace(microsecond=0)
    with transaction.atomic():
        for number in range(rows):
            made_at = start + dt.timedelta(seconds=number // rate)
            until = made_at + dt.timedelta(seconds=settings.REPLAY_WINDOW + clock.SKEW + 1)
            record = digests.record_id("nonce", f"x5t#S256:{number % 1000}", digests.new_identifier())
            assert CLAIM.take(now=start, id=record, expires_at=until)


def simplejwt(rows: int, rate: int) -> None:
    """Insert tokens that are outstanding and blacklisted, as simplejwt's ``blacklist()`` stores them."""
    user = User.objects.create_user("alice")
    token = RefreshToken()
    token["user_id"] = str(user.pk)

    def outstanding(number: int) -> OutstandingToken:
        token.set_jti()
        when = clock.now()
        return OutstandingToken(user=user, jti=token["jti"], token=str(token), created_at=when, expires_at=when)

    insert(OutstandingToken, rows, outstanding)
    pks = iter(OutstandingToken.objects.values_list("pk", flat=True).order_by("pk").iterator())
    insert(BlacklistedToken, rows, lambda number: BlacklistedToken(token_id=next(pks)))


def django_session(rows: int, rate: int) -> None:
    """Insert sessions of logged-in users without other contents."""
    data = SessionStore().encode(
        {
            "_auth_user_id": "1234",
            "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
            "_auth_user_hash": secrets.token_hex(32),
        }
    )
    when = clock.now()
    insert(
        DjangoSession,
        rows,
        lambda number: DjangoSession(session_key=secrets.token_hex(16), session_data=data, expire_date=when),
    )


def insert(model: Any, rows: int, make: Callable[[int], models.Model]) -> None:
    def batches() -> Iterator[range]:
        for start in range(0, rows, BATCH):
            yield range(start, min(start + BATCH, rows))

    for batch in batches():
        model.objects.bulk_create([make(number) for number in batch])


STORED: dict[str, tuple[Callable[[int, int], None], tuple[type[models.Model], ...]]] = {
    "securecore nonce": (nonces, (SeenNonce,)),
    "Django session": (django_session, (DjangoSession,)),
    "simplejwt blacklisted token": (simplejwt, (OutstandingToken, BlacklistedToken)),
}


def size(model: type[models.Model]) -> tuple[int, int]:
    """Return the bytes of the table, and of its indexes."""
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM {model._meta.db_table}")
        cursor.execute("SELECT pg_table_size(%s), pg_indexes_size(%s)", [model._meta.db_table] * 2)
        table, indexes = cursor.fetchone()
    return table, indexes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=100)
    arguments = parser.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        for name, (store, tables) in STORED.items():
            store(arguments.rows, arguments.rate)
            sizes = [size(model) for model in tables]
            table, indexes = (sum(each[part] for each in sizes) / arguments.rows for part in (0, 1))
            print(f"{name:28} {table + indexes:6.1f} bytes   (table {table:5.1f}, indexes {indexes:5.1f})", flush=True)
    finally:
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    main()
