"""The conditions under which a caller's credential has ended, as SQL for a check behind the gate.

The SQL fragments are those of the one query that judges the request at its beginning, so both judge alike.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from securecore import database
from securecore.grants import Credential, principals
from securecore.identity import obtained
from securecore.models import Session
from securecore.replay import signature_keys
from securecore.sessions import statements
from securecore.tokens import AccessToken, simplejwt
from securecore.tokens import statements as of_tokens

_TOKEN_ENDED = f"{of_tokens.ENDED} OR {obtained.REVOKED.format('%(obtained_under)s')}"

_ID: Any = Session._meta.get_field("id")
_USER: Any = Session._meta.get_field("user")


def of_token(token: AccessToken) -> Credential:
    """Return the condition that this access token has ended.

    It reads the revocation of the token, the epochs of its user and client, its family, the certificate under which it
    was obtained, and the key that signed it.

    Its gates are those that the functions of ``revocation`` close for a token, also if they are no names of the caller.
    Example: the token of a user's own client holds nothing of ``service:NAME``, and ``revoke_client_tokens(NAME)``
    closes the gate of that name.
    """
    user = principals.user(token.subject)
    gates = [user] if user else []
    if token.issuer != simplejwt.ISSUER:  # all of these have one client, see ``revocation``
        gates.append(principals.service(token.client_id))
    if token.certificate:
        gates.append(principals.certificate(token.certificate))
    given = of_tokens.parameters(token, database.connection()) | {"obtained_under": token.certificate}
    return _credential("token-revoked", _TOKEN_ENDED, given, tuple(gates))


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
