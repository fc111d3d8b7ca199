"""SQL about a presented access token: whether it has ended, and the registered client that it names.

The one query (``securecore.caller``) and each check behind a gate include these fragments. Their parameters are those
of ``parameters()``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.tokens.access import AccessToken
from securecore.tokens.epochs import EVERYONE
from securecore.tokens.models import RevokedToken
from securecore.tokens.revoked import revocation_id

#: The token, its family, its client, its signing key or all tokens of its user, client or time were revoked. A missing
#: family counts as revoked: a family is purged only after its last access token has expired. ``%(family_id)s`` and
#: ``%(stored_key)s`` are null for a token without a family, and for a key of the settings. A disabled client is read
#: although a trigger ends its tokens too: in a database without triggers, ``QuerySet.update()`` ends nothing.
ENDED = f"""
    (EXISTS (SELECT 1 FROM securecore_revoked_token WHERE id = %(token_id)s AND expires_at > %(now)s)
    OR EXISTS (SELECT 1 FROM securecore_token_epoch
               WHERE subject IN ('user:' || %(token_subject)s, 'client:' || %(client_id)s, '{EVERYONE}')
               AND (not_before >= %(issued_at)s
                    OR (subject = 'user:' || %(token_subject)s AND epoch > %(user_epoch)s)
                    OR (subject = 'client:' || %(client_id)s AND epoch > %(client_epoch)s)))
    OR EXISTS (SELECT 1 FROM securecore_client WHERE client_id = %(client_id)s AND disabled_at IS NOT NULL)
    OR (NOT EXISTS (SELECT 1 FROM securecore_refresh_family WHERE id = %(family_id)s AND revoked_at IS NULL)
        AND %(family_id)s IS NOT NULL)
    OR (NOT EXISTS (SELECT 1 FROM securecore_signing_key
                    WHERE kid = %(stored_key)s AND (expires_at IS NULL OR expires_at > %(now)s))
        AND %(stored_key)s IS NOT NULL))
"""  # noqa: S608

#: The principal of the token's client, if the client is registered. The client id of a user that gets tokens by
#: certificate is a user name: ``caller.presented`` gives such a caller no service, and so no grant of this name.
SERVICE = "'service:' || %(client_id)s"

#: The SQL types of the parameters.
TYPES = {
    "token_id": "uuid",
    "token_subject": "text",
    "client_id": "text",
    "user_epoch": "bigint",
    "client_epoch": "bigint",
    "issued_at": "timestamptz",
    "family_id": "uuid",
    "stored_key": "text",
}

_ID: Any = RevokedToken._meta.get_field("id")
_INSTANT: Any = RevokedToken._meta.get_field("expires_at")


class Registration(NamedTuple):
    """The row of a registered client. ``user`` is the primary key of its user."""

    client_id: str
    user: Any
    certificate_name: str


#: The columns of ``Registration``, and the join that gives them.
REGISTRATION = "k.client_id, k.user_id, k.certificate_name"
CLIENT = "securecore_client k ON k.client_id = %(client_id)s"


def parameters(token: AccessToken, database: BaseDatabaseWrapper) -> dict[str, Any]:
    """Return the parameters of the fragments, in the form of ``database``."""
    return {
        "token_id": _ID.get_db_prep_value(revocation_id(issuer=token.issuer, jti=token.jti), database),
        "token_subject": token.subject,
        "client_id": token.client_id,
        "user_epoch": token.user_epoch,
        "client_epoch": token.client_epoch,
        "issued_at": _INSTANT.get_db_prep_value(token.issued_at, database),
        "family_id": _ID.get_db_prep_value(token.family_id, database),
        "stored_key": token.stored_key,
    }
