"""A row for each page of the admin, and the fields of each operation: the tests run every operation of every page."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import Fernet
from django.contrib import admin
from django.contrib.auth.models import User

from securecore import audit, clock, digests, grants
from securecore.admin.operations import Operation
from securecore.admin.pages import OperatorPage
from securecore.grants import lockouts, principal_of
from securecore.identity import parse_pem
from securecore.models import (
    AuditRow,
    Certificate,
    Client,
    Grant,
    RefreshFamily,
    RefusalCount,
    RevocationList,
    Session,
    SigningKey,
)
from securecore.replay import signature_keys
from securecore.testing import Authority
from securecore.tokens import clients, keys
from tests.replay.signing import ED25519, public_pem

#: The key under which the tests store signing keys.
ENCRYPTION_KEY = Fernet.generate_key().decode()


@dataclass
class Records:
    """alice with a row of each kind, and bob with none. ``authority`` signs further certificates."""

    alice: User
    bob: User
    authority: Authority
    rows: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        now, alice = clock.now(), self.alice
        day = dt.timedelta(days=1)
        principal = principal_of(alice)
        pending = parse_pem(self.authority.issue("pending").pem)
        named = {"subject": pending.subject, "serial_number": pending.serial_number, "not_after": pending.not_after}
        Certificate.objects.create(thumbprint=pending.thumbprint, issuer=pending.issuer, **named)
        giver = audit.Actor(kind="admin", name=principal_of(self.bob))
        with audit.acting(giver, reason="ticket 4711"):
            grants.grant(principal=principal, permission="things.make", now=now)
        audit.refusal_counts.take()
        audit.refusal_counts.count(code="nonce-reused", reason="r", route="/x")
        audit.refusal_counts.flush()
        keys.rotate(algorithm="ES256", lead=0, now=now)
        lists = RevocationList.objects
        self.rows = {
            "certificate": Certificate.objects.get(user=alice),
            "session": session_of(alice),
            "client": clients.register(client_id="payments", user=alice, now=now, scope="accounts"),
            "refreshfamily": family_of(alice),
            "grant": Grant.objects.get(principal=principal),
            "lockout": lockouts.lock_out(subject="service:partner", lasts=day, reason="ticket 17"),
            "revocationlist": lists.create(
                name=digests.record_id("list", "ca"), issuer="CN=Mesh CA", number="7", this_update=now - 2 * day,
                next_update=now - day, imported_at=now - day, entries=3, expires_at=now + 30 * day,
            ),
            "signingkey": SigningKey.objects.get(),
            "signaturekey": signature_keys.register(keyid="k1", user=alice, public_key=public_pem(ED25519), now=now),
            "auditrow": AuditRow.objects.get(event="securecore.grants.grant-given"),
            "refusalcount": RefusalCount.objects.get(),
            "pending": Certificate.objects.get(pk=pending.thumbprint),
        }  # fmt: skip

    def row_for(self, model: str, operation: Operation) -> Any:
        """Return a row on which the operation has an effect."""
        if operation.name == "enable":
            Client.objects.filter(disabled_at=None).update(disabled_at=clock.now())
        return self.rows["pending" if operation.name == "admit" else model]

    def fields_of(self, model: str, operation: Operation) -> dict[str, Any]:
        """Return the fields that the form of the operation needs, with a reason."""
        alone = {
            "certificate": {"user": "bob", "certificate": self.authority.issue("another").pem},
            "client": {"client_id": "reports", "user": "bob"},
            "grant": {"kind": "user", "name": "bob", "permission": "things.make"},
            "lockout": {"kind": "user", "name": "bob", "lasts": "3600"},
            "refreshfamily": {"user": "alice"},
            "signaturekey": {"keyid": "k2", "user": "bob", "public_key": public_pem(ED25519)},
            "signingkey": {"algorithm": "ES256", "lead": "600"},
        }
        on_rows = {"admit": {"user": "bob"}, "lock_out": {"lasts": "3600"}, "change_end": {"lasts": "3600"}}
        given = on_rows.get(operation.name, {}) if operation.needs_rows else alone[model]
        return given | {"reason": "ticket 99"}


def session_of(user: User, **more: Any) -> Session:
    now, hour = clock.now(), dt.timedelta(hours=1)
    described = {"created_at": now, "last_seen_at": now, "expires_at": now + hour, "ends_at": now + hour}
    key = digests.record_id("session", str(user.pk), str(more), str(now))
    return Session.objects.create(id=key, user=user, data="", **(described | {"address": "192.0.2.7"} | more))


def family_of(user: User, **more: Any) -> RefreshFamily:
    now = clock.now()
    described = {"client_id": "payments", "rotates": True, "created_at": now, "expires_at": now + dt.timedelta(days=1)}
    key = digests.record_id("family", str(user.pk), str(more), str(now))
    return RefreshFamily.objects.create(id=key, user=user, **(described | more))


def pages() -> dict[str, OperatorPage]:
    """Return each page of securecore by the name of its model."""
    found = {model._meta.model_name or "": page for model, page in admin.site._registry.items()}
    return {name: page for name, page in found.items() if isinstance(page, OperatorPage)}


def operations() -> list[tuple[str, str]]:
    """Return each operation, as the name of its model and its own."""
    return [(model, each.name) for model, page in pages().items() for each in page.every_operation()]
