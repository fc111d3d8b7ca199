"""The credentials of a request as conditions for ``grants``: SQL that is true once the credential was revoked.

The fragments are those of the one statement that judges the request at its beginning, so that both judge alike.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from securecore import database
from securecore.caller import query
from securecore.caller.query import Presented
from securecore.caller.user_table import user_table
from securecore.grants import Credential, principals
from securecore.models import Session
from securecore.replay import signature_keys
from securecore.sessions import statements
from securecore.tokens import AccessToken, simplejwt

_ID: Any = Session._meta.get_field("id")
_USER: Any = Session._meta.get_field("user")


def token_credential(token: AccessToken) -> Credential:
    """Return the condition of an access token: itself, its user's and client's epochs, its family, the certificate
    that it was obtained under, and the key that signed it.

    Its gates are those that the functions of ``revocation`` close for a token, whether or not they are the caller's own
    names. Example: the token of a user's own client holds nothing of ``service:NAME``, and the gate of that name is the
    one that ``revoke_client_tokens(NAME)`` closes.
    """
    ended = query.token_ended(Presented(token=token).parts)
    user = principals.user(token.subject)
    gates = [user] if user else []
    if token.issuer != simplejwt.ISSUER:  # all of these have one client, see ``revocation``
        gates.append(principals.service(token.client_id))
    if token.certificate:
        gates.append(principals.certificate(token.certificate))
    return _credential("token-revoked", ended, query.of_token(token, user_table()), tuple(gates))


def session_credential(session_id: UUID, *, user_id: Any) -> Credential:
    """Return the condition of the session with this record id, which logged this user in."""
    connection = database.connection()
    parameters = {
        "session_id": _ID.get_db_prep_value(session_id, connection),
        "session_user": _USER.get_db_prep_save(user_id, connection),
    }
    return _credential("session-ended", f"NOT ({statements.LIVES})", parameters)


def signature_key_credential(keyid: str) -> Credential:
    """Return the condition of the registered key that signed the request."""
    return _credential("signature-key-revoked", f"NOT ({signature_keys.STANDS})", {"signature_keyid": keyid})


def _credential(refusal: str, ended: str, parameters: dict[str, Any], gates: tuple[str, ...] = ()) -> Credential:
    used = set(re.findall(r"%\((\w+)\)s", ended))
    return Credential(refusal, ended, tuple((name, parameters[name]) for name in sorted(used - {"now"})), gates)
