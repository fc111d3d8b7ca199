"""``Caller``: the one caller of a request, as a value that permission checks and idempotency keys take.

``caller_of`` in ``http.authorization.caller`` decides the caller and builds this value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from securecore.caller import conditions
from securecore.errors import AuthenticationRequired
from securecore.grants import BoundCondition
from securecore.identity import ClientCertificate
from securecore.tokens import AccessToken


@dataclass(frozen=True)
class Caller:
    """The caller of one request, after each credential was judged.

    A permission check takes ``principals`` and ``conditions``::

        grants.decide(caller.principals, "transfers.create", conditions=caller.conditions, clock=clock.now)
    """

    #: The names to which permissions of this caller may have been granted, for example ``("user:7",)``. Groups and
    #: roles are not among them: the check adds those.
    principals: tuple[str, ...]
    #: The principal of the user; None for a certificate that is enrolled for nobody.
    user: str | None = None
    #: The token that authenticated the request, or None.
    token: AccessToken | None = None
    #: The record id of the session that authenticated the request, and the primary key of its user; or None.
    session: tuple[UUID, Any] | None = None
    #: The registered key that signed the request, or None.
    signature_keyid: str | None = None
    #: The client certificate of the connection, or None.
    certificate: ClientCertificate | None = None

    def require_user(self) -> str:
        """Return the principal of the user. Raises ``AuthenticationRequired`` (401) for a caller without one."""
        if self.user is None:
            raise AuthenticationRequired
        return self.user

    @cached_property
    def conditions(self) -> tuple[BoundCondition, ...]:
        """Return a condition for each credential that may end before the effect commits.

        A check refuses the caller if one of these credentials has ended. The client certificate has conditions for
        revocation lists and its issuer; its own principal is one of ``principals``.
        """
        ended: list[BoundCondition] = []
        if self.certificate is not None:
            ended += conditions.of_certificate(self.certificate)
        if self.signature_keyid is not None:
            ended.append(conditions.of_signature_key(self.signature_keyid))
        if self.token is not None:
            ended.append(conditions.of_token(self.token))
        if self.session is not None:
            session_id, user_id = self.session
            ended.append(conditions.of_session(session_id, user_id=user_id))
        return tuple(ended)
