"""Import a certificate revocation list: refuse its certificates, and end their sessions and tokens."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from django.db.models import QuerySet

from securecore import audit, clock, database, events, leases
from securecore.conf import settings
from securecore.errors import Busy
from securecore.grants import gate
from securecore.identity import revocation_list
from securecore.models import RevocationList
from securecore.revocation import revoke_certificate


@dataclass(frozen=True)
class Imported:
    """The result of an import. ``revoked`` are the certificates of which sessions and tokens ended."""

    row: RevocationList
    added: int
    removed: int
    revoked: list[str]


def import_list(path: Path, *, authorities: Sequence[x509.Certificate], refuses_when_expired: bool = False) -> Imported:
    """Import the list in the file at ``path``, in DER or PEM, which one of ``authorities`` signed.

    The list replaces the last list of the same issuer, key and distribution point. Once this function has returned, no
    request that starts later is accepted under a listed certificate, and no effect of such a request commits. A listed
    certificate under which sessions or tokens were obtained is revoked too, which ends these. A certificate on hold is
    refused only as long as the list holds it.

    After the list's ``nextUpdate`` its entries count on. With ``refuses_when_expired`` every certificate of the issuer
    is refused from then on, until the next import.

    Three steps, of which each commits: a second call goes on where the first one stopped. Raises ``Misuse`` for a file
    that is not a current and complete list of one of ``authorities``, and inside a transaction. Raises ``Busy`` (503)
    after ``LOCK_TIMEOUT`` at the gates; then the list is stored, but effects of listed certificates may still commit.
    """
    now = clock.now()
    with revocation_list.open_list(path) as file:
        authority = revocation_list.signing_authority(file, authorities, now)
        with database.committed_transaction("import_list()"), database.refused_when_locked(Busy):
            stored = revocation_list.replace(file, authority, refuses_when_expired=refuses_when_expired, now=now)
            audit.report(_event(stored))
    _outlast_effects()
    listed = revocation_list.remembered_and_listed()
    for thumbprint in listed:
        revoke_certificate(thumbprint=thumbprint)
    return Imported(stored.row, stored.added, stored.removed, listed)


def _event(stored: revocation_list.Replaced) -> events.RevocationListImported:
    row = stored.row
    return events.RevocationListImported(
        subject=f"issuer:{row.issuer}",
        number=row.number,
        entries=row.entries,
        added=stored.added,
        removed=stored.removed,
    )


def stored_lists() -> QuerySet[RevocationList]:
    """Return the lists in force, the first to end first."""
    return RevocationList.objects.using(settings.DATABASE).order_by("next_update", "issuer")


def ending_lists(now: dt.datetime, *, within: dt.timedelta) -> list[RevocationList]:
    """Return the lists that have ended, or end ``within`` this time."""
    return list(stored_lists().filter(next_update__lte=now + within))


def _outlast_effects() -> None:
    """Wait for the effects of checks that read the entries from before the import, and for the leases.

    Each check that enters a gate later reads the new entries. So all gates close for an instant, behind the commit of
    the entries: closed before, they would stay closed while a million entries are written.
    """

    def wait() -> None:
        with database.committed_transaction("import_list()"), database.refused_when_locked(Busy):
            gate.close_all()
            leases.outlast()

    database.retry_after_deadlock(wait)
