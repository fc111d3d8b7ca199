"""SQL about the client certificate of a request. The one query (``securecore.caller``) includes these fragments."""

from __future__ import annotations

from typing import Any, NamedTuple


class Enrolment(NamedTuple):
    """The row of an enrolled certificate, key or name. ``user`` is the primary key of its user."""

    thumbprint: str
    user: Any
    is_self_signed: bool
    revoked_at: Any


#: The columns of ``Enrolment``, of the row ``c``.
ENROLMENT = "c.thumbprint, c.user_id, c.is_self_signed, c.revoked_at"

#: The reason of the row that refuses every certificate of an issuer once its list has ended. No entry has it.
LIST_ENDED = 255
_LISTED = f"""
    FROM securecore_listed_certificate l WHERE l.certificate IN (%(serial_id)s, %(issuer_id)s)
    AND (l.reason <> {LIST_ENDED} OR l.revoked_at <= %(now)s)
"""
#: An expression of the reason for which a revocation list refuses the client certificate, null for none. Two rows at
#: most are found, by one search of the index.
LISTED = f"(SELECT min(l.reason) {_LISTED})"
#: The condition that a revocation list refuses the client certificate.
IS_LISTED = f"EXISTS (SELECT 1 {_LISTED})"
#: The SQL types of the parameters: ``ClientCertificate.serial_id`` and ``issuer_id``.
TYPES = {"serial_id": "uuid", "issuer_id": "uuid"}
