"""The events of an operator's changes: lockouts, revocation lists, clients and restores. The audit stores each."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from securecore.events.emission import Event


@dataclass(frozen=True, kw_only=True)
class RevocationListImported(Event):
    """A revocation list of an issuer replaced the last one. ``added`` and ``removed`` count its entries."""

    name = "securecore.identity.revocation-list-imported"
    level = logging.INFO
    subject: str
    number: str
    entries: int
    added: int
    removed: int


@dataclass(frozen=True, kw_only=True)
class ClientEnabled(Event):
    """A disabled client is accepted again."""

    name = "securecore.tokens.client-enabled"
    level = logging.INFO
    client_id: str


@dataclass(frozen=True, kw_only=True)
class LockedOut(Event):
    """An operator locked a principal, an issuer or everyone out until an instant (ISO 8601)."""

    name = "securecore.grants.locked-out"
    subject: str
    reason: str
    until: str


@dataclass(frozen=True, kw_only=True)
class LockoutLifted(Event):
    name = "securecore.grants.lockout-lifted"
    level = logging.INFO
    subject: str


@dataclass(frozen=True, kw_only=True)
class BackupRestored(Event):
    """An operator ended every session, token and authorization after a restore from a backup."""

    name = "securecore.grants.backup-restored"
    subject: str
    sessions_ended: int
    families_ended: int
