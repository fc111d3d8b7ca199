"""The conditions under which a caller's credential has ended, as SQL for a check behind the gate.

The one query judges the credentials at the beginning of the request, with the same SQL fragments. So both statements
judge alike.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from securecore import database
from securecore.errors import LockedOut
from securecore.grants import BoundCondition, principals
from securecore.grants.query.caller_state import Condition
from securecore.grants.query.lockouts import ISSUER, is_locked_out_sql
from securecore.identity import ClientCertificate, obtained
from securecore.identity import statements as of_certificates
from securecore.models import Session
from securecore.replay import signature_keys
from securecore.sessions import statements as session_statements
from securecore.tokens import AccessToken, simplejwt
from securecore.tokens import statements as token_statements

_ID: Any = Session._meta.get_field("id")
_USER: Any = Session._meta.get_field("user")


def token_condition() -> Condition:
    """Return the condition that a token has ended: see ``of_token``."""
    ended = f"{token_statements.ENDED} OR {obtained.REVOKED.format('%(obtained_under)s')}"
    subjects = f"SELECT {token_statements.SERVICE} UNION ALL SELECT 'certificate:' || %(obtained_under)s"
    ended = f"{ended} OR {is_locked_out_sql(subjects)}"
    return _condition("token-revoked", ended, token_statements.TYPES | {"obtained_under": "text"})


def session_condition() -> Condition:
    """Return the condition that a session has ended."""
    user = str(_USER.rel_db_type(database.connection()))
    ended = f"NOT ({session_statements.IS_LIVE})"
    return _condition("session-ended", ended, {"session_id": "uuid", "session_user": user})


def signature_key_condition() -> Condition:
    """Return the condition that a registered key was revoked."""
    return _condition("signature-key-revoked", f"NOT ({signature_keys.IS_LIVE})", {"signature_keyid": "text"})


def certificate_conditions() -> tuple[Condition, Condition]:
    """Return the conditions of the client certificate: see ``of_certificate``."""
    return (
        _condition(
            "certificate-revoked",
            f"{of_certificates.IS_LISTED} OR {of_certificates.LIST_HAS_ENDED}",
            of_certificates.TYPES,
        ),
        _condition(LockedOut.code, is_locked_out_sql(f"SELECT '{ISSUER}' || %(issuer)s"), {"issuer": "text"}),
    )


def every_combination() -> list[tuple[Condition, ...]]:
    """Return the conditions of each kind of ``Caller``, in the order of ``Caller.conditions``."""
    presented, signed = certificate_conditions(), signature_key_condition()
    authenticated: list[tuple[Condition, ...]] = [(), (token_condition(),), (session_condition(),)]
    return [(*under, *by_key, *by) for under in ((), presented) for by_key in ((), (signed,)) for by in authenticated]


def of_certificate(certificate: ClientCertificate) -> tuple[BoundCondition, ...]:
    """Return the conditions that a revocation list names the certificate, or its list has expired, and that its issuer
    is locked out.

    A revocation or lockout of the certificate itself needs no condition: the check reads it by the principal.
    """
    connection = database.connection()
    given: dict[str, Any] = {
        "serial_id": _ID.get_db_prep_value(certificate.serial_id, connection),
        "issuer_id": _ID.get_db_prep_value(certificate.issuer_id, connection),
        "issuer": certificate.issuer,
    }
    return tuple(_bound(each, given) for each in certificate_conditions())


def of_token(token: AccessToken) -> BoundCondition:
    """Return the condition that this access token has ended.

    The condition reads the revocation of the token, the epochs of its user and client, its family, the certificate
    under which it was obtained, the key that signed it, and a lockout of its client or of that certificate.

    The check also enters each gate that a function of ``revocation`` closes for the token, which may be the gate of a
    name that the caller does not have. Example: the token of a user's own client gives the caller no name
    ``service:NAME``, and ``revoke_client_tokens(NAME)`` closes the gate of that name.
    """
    user = principals.user(token.subject)
    gates = [user] if user else []
    if token.issuer != simplejwt.ISSUER:  # all tokens of simplejwt have one client, see ``revocation``
        gates.append(principals.service(token.client_id))
    if token.certificate:
        gates.append(principals.certificate(token.certificate))
    given = token_statements.parameters(token, database.connection()) | {"obtained_under": token.certificate}
    return _bound(token_condition(), given, tuple(gates))


def of_session(session_id: UUID, *, user_id: Any) -> BoundCondition:
    """Return the condition that the session with this record id, in which this user is logged in, has ended."""
    connection = database.connection()
    parameters = {
        "session_id": _ID.get_db_prep_value(session_id, connection),
        "session_user": _USER.get_db_prep_save(user_id, connection),
    }
    return _bound(session_condition(), parameters)


def of_signature_key(keyid: str) -> BoundCondition:
    """Return the condition that the registered key that signed the request was revoked."""
    return _bound(signature_key_condition(), {"signature_keyid": keyid})


def _condition(refusal: str, ended: str, types: dict[str, str]) -> Condition:
    used = set(re.findall(r"%\((\w+)\)s", ended))
    return Condition(refusal, ended, tuple((name, types[name]) for name in sorted(used - {"now"})))


def _bound(condition: Condition, parameters: dict[str, Any], gates: tuple[str, ...] = ()) -> BoundCondition:
    return BoundCondition(condition, {name: parameters[name] for name, _ in condition.types}, gates)
