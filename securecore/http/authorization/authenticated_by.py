"""The credential that authenticated a request, as a condition of the request's permission checks.

After ``revoke_token()`` or ``end_sessions()`` has returned, no request that this token or session authenticated can
commit an effect: the check reads the credential again after it has entered the gate. Only the credential that
authenticated the request counts. For example a request with a good token and the cookie of an ended session is judged
by the token. The client certificate is not in this list, because it is one of the caller's principals.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework.authentication import SessionAuthentication

from securecore import caller
from securecore.grants import Credential
from securecore.sessions import SessionStore, record_id
from securecore.tokens import AccessToken


def credentials_of(request: Any) -> tuple[Credential, ...]:
    """Return the credentials that must not be revoked when a check of this request has entered the gate."""
    token, keyid = getattr(request, "auth", None), getattr(request, "signature_keyid", None)
    credentials = [caller.signature_key_credential(keyid)] if keyid is not None else []
    if isinstance(token, AccessToken):
        credentials.append(caller.token_credential(token))
    elif _is_by_session(request):
        session_id = record_id(request.session.session_key or "")
        credentials.append(caller.session_credential(session_id, user_id=request.user.pk))
    return tuple(credentials)


def _is_by_session(request: Any) -> bool:
    if not isinstance(getattr(request, "session", None), SessionStore):
        return False
    if isinstance(request, HttpRequest):  # in a plain Django view only the session sets request.user
        return bool(request.user.is_authenticated)
    return isinstance(request.successful_authenticator, SessionAuthentication)
