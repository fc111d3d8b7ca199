"""The conditions under which a caller's credential has ended, as SQL for a check behind the gate.

The one query judges the credentials at the beginning of the request, with the same SQL fragments. So both statements
judge alike.
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


def of_token(token: AccessToken) -> Credential:
    """Return the condition that this access token has ended.

    The condition reads the revocation of the token, the epochs of its user and client, its family, the certificate
    under which it was obtained, and the key that signed it.

    The check also enters each gate that a function of ``revocation`` closes for the token, which may be the gate of a
    name that the caller does not have. Example: the token of a user's own client gives the caller no name
    ``service:NAME``, and ``revoke_client_tokens(NAME)`` closes the gate of that name.
    """
    ended = query.token_ended(Presented(token=token).parts)
    user = principals.user(token.subject)
    gates = [user] if user else []
    if token.issuer != simplejwt.ISSUER:  # all tokens of simplejwt have one client, see ``revocation``
        gates.append(principals.service(token.client_id))
    if token.certificate:
        gates.append(principals.certificate(token.certificate))
    return _credential("token-revoked", ended, query.of_token(token, user_table()), tuple(gates))


def of_session(session_id: UUID, *, user_id: Any) -> Credential:
    """Return the condition that the session with this record id, in which this user is logged in, has ended."""
    connection = database.connection()
    parameters = {
        "session_id": _ID.get_db_prep_value(session_id, connection),
        "session_user": _USER.get_db_prep_save(user_id, connection),
    }
    return _credential("session-ended", f"NOT ({statements.LIVES})", parameters)


def of_signature_key(keyid: str) -> Credential:
    """Return the condition that the registered key that signed the request was revoked."""
    return _credential("signature-key-revoked", f"NOT ({signature_keys.STANDS})", {"signature_keyid": keyid})


def _credential(refusal: str, ended: str, parameters: dict[str, Any], gates: tuple[str, ...] = ()) -> Credential:
    used = set(re.findall(r"%\((\w+)\)s", ended))
    return Credential(refusal, ended, tuple((name, parameters[name]) for name in sorted(used - {"now"})), gates)
