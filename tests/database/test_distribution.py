"""A distributed database sends a statement to one server if the statement names the primary key of its row.

A statement on a claim table without the key would ask every server (slow), and an INSERT ... SELECT or an UPDATE of the
key has no right answer there (wrong): docs/scale.md.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from securecore import clock, idempotency, revocation, server_functions, tokens
from securecore.caller import user_of_token
from securecore.errors import InvalidToken
from securecore.idempotency import Claim, StoredResponse
from securecore.models import IdempotencyRecord, OneTimeToken, RevokedToken, SeenNonce
from securecore.replay import store
from securecore.tokens import one_time

TABLES = [model._meta.db_table for model in (SeenNonce, RevokedToken, IdempotencyRecord, OneTimeToken)]
RESPONSE = StoredResponse(201, b"{}")


def faults(text: str) -> Iterator[str]:
    """Yield each fault by which a distributed database asks several servers about a claim, or answers wrongly."""
    plain = text.replace('"', "")
    for table in TABLES:
        for use in re.finditer(rf"(INSERT INTO|UPDATE|DELETE FROM|FROM|JOIN) {table}\b(.*)", plain, re.DOTALL):
            verb, rest = use[1], use[2]
            if verb == "INSERT INTO":
                columns = re.match(r" \(([^)]*)\) VALUES ", rest)
                if columns is None or "id" not in columns[1].split(", "):
                    yield f"{table}: an INSERT without the key, or without VALUES"
                continue
            if re.search(r"\bSET (?:[^()]*, )?id = ", rest):
                yield f"{table}: the key is updated"
            if not re.search(rf"WHERE \(?(?:[^()]* AND )?\(?(?:{table}\.|\w+\.)?id = ", rest):
                yield f"{table}: {verb} without the key"


@contextmanager
def recorded() -> Iterator[list[str]]:
    texts: list[str] = []

    def record(execute: Any, sql: str, *rest: Any) -> Any:
        texts.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(record):
        yield texts


def use_every_claim(user: User) -> None:
    """Run each statement of securecore on a claim table once, but for the purge's."""
    now = clock.now()
    for _ in range(2):  # the claim, and its loss
        store.claim(uuid4(), made_at=now, now=now, kind="a nonce")
    record, fingerprint = uuid4(), b"f" * 32
    with transaction.atomic():
        claimed = idempotency.claim(record=record, fingerprint=fingerprint, now=now)
        assert isinstance(claimed, Claim)
        idempotency.store(claimed, RESPONSE)
    with transaction.atomic():
        assert idempotency.claim(record=record, fingerprint=fingerprint, now=now) == RESPONSE
    first, second = (take_over(uuid4(), fingerprint, now) for _ in range(2))
    assert idempotency.store_leased(first, RESPONSE)
    idempotency.release(second, now=now)
    secret = one_time.issue(purpose="p", subject="s", lifetime=60, now=now)
    assert one_time.consume(secret, purpose="p", now=now) == "s"
    _, token = tokens.issue(subject=str(user.pk), client_id="c", binding=f"x5t#S256:{'k' * 43}", now=now)
    assert user_of_token(token, now=now) == user
    revocation.revoke_token(issuer=token.issuer, jti=token.jti, expires_at=token.expires_at)
    with pytest.raises(InvalidToken):
        user_of_token(token, now=now)


def take_over(record: UUID, fingerprint: bytes, now: dt.datetime) -> Claim:
    """Claim with a lease, and again after its end."""
    idempotency.claim_lease(record=record, fingerprint=fingerprint, lease=1, now=now)
    later = now + dt.timedelta(seconds=60)
    taken = idempotency.claim_lease(record=record, fingerprint=fingerprint, lease=1, now=later)
    assert isinstance(taken, Claim)
    return taken


@pytest.mark.django_db(transaction=True)
def test_each_statement_on_a_claim_table_names_its_key(users: dict[str, User]) -> None:
    with recorded() as texts:
        use_every_claim(users["alice"])
    if connection.vendor == "postgresql":
        texts += [function.query for function in server_functions.every_function()]
    assert not [(fault, text) for text in texts for fault in faults(text)]
    used = {table for table in TABLES for text in texts if table in text}
    assert used == set(TABLES)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO securecore_seen_nonce (id, expires_at) SELECT %s, %s",
        "INSERT INTO securecore_seen_nonce (expires_at) VALUES (%s)",
        'SELECT 1 FROM "securecore_seen_nonce" WHERE "securecore_seen_nonce"."expires_at" > %s',
        "DELETE FROM securecore_one_time_token WHERE expires_at <= %s",
        "UPDATE securecore_idempotency_record SET status = %s WHERE attempt = %s",
        "UPDATE securecore_idempotency_record SET attempt = 1, id = %s WHERE id = %s",
        "SELECT 1 FROM securecore_certificate c JOIN securecore_revoked_token t ON t.id = c.thumbprint",
    ],
)
def test_a_statement_without_its_key_is_found(text: str) -> None:
    assert list(faults(text))
