"""Store the entries of a revocation list, replace them by those of the next list, and delete those of an ended list.

The entries of a new list are staged in a temporary table first. So an import writes the differences only, and a list of
a million entries is replaced as a whole, in one transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID
from django.db import transaction
from django.db.models import QuerySet

from securecore import database
from securecore.conf import settings
from securecore.digests import record_id
from securecore.errors import Misuse
from securecore.identity.certificates import issuer_id, read, serial_id
from securecore.identity.models import ListedCertificate, RevocationList
from securecore.identity.revocation_list.contents import HOLD, Entry, extension_of
from securecore.identity.revocation_list.file import RevocationListFile
from securecore.identity.statements import LIST_ENDED
from securecore_client.wire.thumbprints import thumbprint

#: The number of the lock that lets one import run at a time (``database.take_advisory_lock``).
_IMPORTING = 6
#: The longest assumed time between the end of a list and the end of a certificate in it, ten years.
_LONGEST_LIFETIME = dt.timedelta(days=3653)

#: Without an index on PostgreSQL: a million random keys do not fit into ``temp_buffers``, so each would be a write.
_STAGE = "CREATE TEMPORARY TABLE securecore_staged_entry (certificate {key}, revoked_at {instant}, reason integer)"
#: Inserts entries that are new or have another reason, in the order of the index. A second insert of an entry would
#: lock its row and write WAL.
_INSERT = """
    INSERT INTO securecore_listed_certificate (certificate, revocation_list_id, revoked_at, reason)
    SELECT {distinct} s.certificate, %(list)s, s.revoked_at, s.reason FROM securecore_staged_entry s
    WHERE NOT EXISTS (SELECT 1 FROM securecore_listed_certificate l WHERE l.certificate = s.certificate
                      AND l.revocation_list_id = %(list)s AND l.reason = s.reason)
    ORDER BY s.certificate
    ON CONFLICT (certificate, revocation_list_id)
        DO UPDATE SET revoked_at = excluded.revoked_at, reason = excluded.reason
"""
_DELETE = """
    DELETE FROM securecore_listed_certificate AS l WHERE l.revocation_list_id = %(list)s AND l.reason <> %(ended)s
    AND NOT EXISTS (SELECT 1 FROM securecore_staged_entry s WHERE s.certificate = l.certificate)
"""
#: ``remember`` stores the ``serial_id`` of each certificate in hexadecimal, beside 43-character identifiers.
_REMEMBERED = """
    SELECT DISTINCT i.certificate FROM securecore_certificate_identifier i
    JOIN securecore_listed_certificate l ON l.certificate = {serial_id}
    WHERE length(i.identifier) = 32 AND l.reason <> %(hold)s AND NOT EXISTS (
        SELECT 1 FROM securecore_certificate c WHERE c.thumbprint = i.certificate AND c.revoked_at IS NOT NULL)
    ORDER BY i.certificate
"""


@dataclass(frozen=True)
class Replaced:
    """The stored list, and the numbers of entries that an import added (or gave another reason) and removed."""

    row: RevocationList
    added: int
    removed: int


def replace(
    file: RevocationListFile, authority: x509.Certificate, *, refuses_when_expired: bool, now: dt.datetime
) -> Replaced:
    """Store the entries of ``file``, which ``authority`` signed, in place of those of its last list.

    Needs a transaction. Raises ``Misuse`` for a list that is older than the stored one, which somebody may replay.
    """
    database.limit_waits(settings.LOCK_TIMEOUT)
    database.take_advisory_lock(_IMPORTING)
    issuer = read((authority,)).subject
    row = _list_row(file.header, authority, issuer, now)
    row.refuses_when_expired = refuses_when_expired
    connection = database.connection()
    with connection.cursor() as cursor:
        _stage(cursor, issuer, file.batches(), row)
        distinct = "DISTINCT ON (s.certificate)" if connection.vendor == "postgresql" else ""
        cursor.execute(_INSERT.format(distinct=distinct), {"list": row.pk})
        added = cursor.rowcount
        cursor.execute(_DELETE, {"list": row.pk, "ended": LIST_ENDED})
        removed = cursor.rowcount
        cursor.execute("DROP TABLE securecore_staged_entry")
    stored = ListedCertificate.objects.using(settings.DATABASE).filter(revocation_list=row)
    row.entries = stored.exclude(reason=LIST_ENDED).count()
    row.save(using=settings.DATABASE)
    _refuse_when_ended(row)
    return Replaced(row, added, removed)


def _refuse_when_ended(row: RevocationList) -> None:
    """Store the row that refuses each certificate of the issuer from ``next_update`` on, if the operator chose so."""
    entries = ListedCertificate.objects.using(settings.DATABASE)
    entries.filter(revocation_list=row, reason=LIST_ENDED).delete()
    if row.refuses_when_expired:
        of_issuer = issuer_id(row.issuer)
        entries.create(certificate=of_issuer, revocation_list=row, revoked_at=row.next_update, reason=LIST_ENDED)


def _list_row(
    header: x509.CertificateRevocationList, authority: x509.Certificate, issuer: str, now: dt.datetime
) -> RevocationList:
    """Return the row of this list, with the dates and the number of ``header``."""
    rows = RevocationList.objects.using(settings.DATABASE)
    name, number = _name(header, authority, issuer), _number(header)
    row = rows.filter(name=name).first() or RevocationList(name=name, issuer=issuer)
    this_update, next_update = header.last_update_utc, header.next_update_utc
    is_older = not row._state.adding and (int(row.number or 0) > int(number or 0) or row.this_update > this_update)
    if is_older:
        raise Misuse(
            f"This list, number {number or 'unknown'} of {this_update:%Y-%m-%d %H:%M}, is older than the list in "
            f"force, number {row.number or 'unknown'} of {row.this_update:%Y-%m-%d %H:%M}."
        )
    assert next_update is not None  # noqa: S101 - see ``signature``
    row.number, row.this_update, row.next_update, row.imported_at = number, this_update, next_update, now
    row.expires_at = next_update + _LONGEST_LIFETIME
    if row._state.adding:
        row.save(using=settings.DATABASE)
    return row


def _name(header: x509.CertificateRevocationList, authority: x509.Certificate, issuer: str) -> Any:
    key = authority.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = extension_of(header, ExtensionOID.ISSUING_DISTRIBUTION_POINT)
    scope = point.public_bytes().hex() if point is not None else ""
    return record_id("revocation list", issuer, thumbprint(key), scope)


def _number(header: x509.CertificateRevocationList) -> str:
    number = extension_of(header, ExtensionOID.CRL_NUMBER)
    return str(number.crl_number) if number is not None else ""


def _stage(cursor: Any, issuer: str, batches: Iterator[list[Entry]], row: RevocationList) -> None:
    """Write the entries into the temporary table, batch by batch. A repeated serial number counts once."""
    connection = database.connection()
    is_postgresql = connection.vendor == "postgresql"
    cursor.execute("DROP TABLE IF EXISTS securecore_staged_entry")
    types = ("uuid", "timestamptz") if is_postgresql else ("char(32) PRIMARY KEY", "datetime")
    cursor.execute(_STAGE.format(key=types[0], instant=types[1]))
    key: Any = ListedCertificate._meta.get_field("certificate")
    instant = connection.ops.adapt_datetimefield_value
    for batch in batches:
        rows = [
            (
                key.get_db_prep_value(serial_id(issuer, each.serial_number), connection),
                instant(each.revoked_at),
                each.reason,
            )
            for each in batch
        ]
        _insert_staged(cursor, rows, is_postgresql)
    if is_postgresql:
        cursor.execute("ANALYZE securecore_staged_entry")


def _insert_staged(cursor: Any, rows: Sequence[tuple[Any, ...]], is_postgresql: bool) -> None:
    into = "INSERT INTO securecore_staged_entry (certificate, revoked_at, reason)"
    if is_postgresql:  # one statement for each batch
        arrays = "unnest(CAST(%s AS uuid[]), CAST(%s AS timestamptz[]), CAST(%s AS integer[]))"
        into += f" SELECT * FROM {arrays}"  # noqa: S608
        columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True)
        cursor.execute(into, [list(each) for each in columns])
    else:
        cursor.executemany(f"{into} VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", rows)


def remembered_and_listed() -> list[str]:
    """Return the thumbprints of listed certificates under which a session or token was obtained, unless revoked here.

    An entry on hold is left out: the authority may take it back, and ended sessions would stay ended.
    """
    is_postgresql = database.connection().vendor == "postgresql"
    serial = (
        "CASE WHEN length(i.identifier) = 32 THEN CAST(i.identifier AS uuid) END" if is_postgresql else "i.identifier"
    )
    with database.connection().cursor() as cursor:
        cursor.execute(_REMEMBERED.format(serial_id=serial), {"hold": HOLD})
        return [thumbprint for (thumbprint,) in cursor.fetchall()]


def count_expired_entries(until: dt.datetime) -> int:
    """Return the number of entries of the lists that expired at or before ``until``."""
    return ListedCertificate.objects.using(settings.DATABASE).filter(revocation_list__in=_expired(until)).count()


def delete_expired_entries(until: dt.datetime, limit: int) -> Iterator[int]:
    """Delete the entries of the lists that expired at or before ``until``; yield the number of entries of each batch.

    A list goes with its last entry. A batch is a transaction of its own and has at most ``limit`` entries.
    """
    while (deleted := _delete_expired_batch(until, limit)) is not None:
        yield deleted


def _delete_expired_batch(until: dt.datetime, limit: int) -> int | None:
    """Delete up to ``limit`` entries of one list, and the list with its last entry; return None if there is no list.

    The statement reads the table and no index: 1,000,000 entries take 3.1 s, and 5.2 s in the order of the index.
    """
    connection = database.connection()
    key = "ctid" if connection.vendor == "postgresql" else "rowid"
    with transaction.atomic(using=settings.DATABASE), connection.cursor() as cursor:
        # Locked, since the entries that another purge deletes would look like none. That purge deletes the list too.
        row = _expired(until).select_for_update(skip_locked=True).first()
        if row is None:
            return None
        table = "securecore_listed_certificate"
        chosen = f"{key} IN (SELECT {key} FROM {table} WHERE revocation_list_id = %s LIMIT %s)"  # noqa: S608
        cursor.execute(f"DELETE FROM {table} WHERE {chosen}", [row.pk, limit])  # noqa: S608
        deleted = int(cursor.rowcount)
        if deleted < limit:
            row.delete(using=settings.DATABASE)
        return deleted


def _expired(until: dt.datetime) -> QuerySet[RevocationList]:
    return RevocationList.objects.using(settings.DATABASE).filter(expires_at__lte=until).order_by("expires_at")
