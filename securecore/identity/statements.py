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
#: The condition that a revocation list names the client certificate.
IS_LISTED = "EXISTS (SELECT 1 FROM securecore_listed_certificate WHERE certificate = %(serial_id)s)"
#: The condition that a revocation list of its issuer has ended, and refuses every certificate since. Two conditions and
#: two searches of the index took 1 us in the query of a request; one search for both, with ``min(reason)``, took 8.
LIST_HAS_ENDED = (
    "EXISTS (SELECT 1 FROM securecore_listed_certificate WHERE certificate = %(issuer_id)s AND revoked_at <= %(now)s)"
)
#: The SQL types of the parameters: ``ClientCertificate.serial_id`` and ``issuer_id``.
TYPES = {"serial_id": "uuid", "issuer_id": "uuid"}
