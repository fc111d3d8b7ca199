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
