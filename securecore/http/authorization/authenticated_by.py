"""The credential that authenticated a request, as a condition of the request's permission checks.

After ``revoke_token()`` or ``end_sessions()`` returned, no effect commits whose request was authenticated by that token
or session: the check asks again, behind the gate. Only the credential that authenticated the request counts. Example: a
request with a good token and an ended session's cookie is judged by the token. The client certificate needs nothing
here, since it is one of the caller's names.

For a Django request an access token of ours in the Authorization header counts too. A plain view refuses one that is
not good. Around a REST framework view (``method_decorator(requires(...), name="dispatch")``) the view's class takes the
token behind the gate, by what was read before it.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework.authentication import SessionAuthentication

from securecore import caller
from securecore.grants import Credential
from securecore.http.request import state_of
from securecore.sessions import SessionStore, record_id
from securecore.tokens import AccessToken


def credentials_of(request: Any) -> tuple[Credential, ...]:
    """Return what must still stand when a check of this request passes the gate."""
    accepted, keyid = getattr(request, "auth", None), state_of(request).signature_keyid
    credentials = [caller.signature_key_credential(keyid)] if keyid is not None else []
    is_by_token = isinstance(accepted, AccessToken)
    token = accepted if is_by_token else _presented_token(request)
    if token is not None:
        credentials.append(caller.token_credential(token))
    if not is_by_token and _is_by_session(request):
        session_id = record_id(request.session.session_key or "")
        credentials.append(caller.session_credential(session_id, user_id=request.user.pk))
    return tuple(credentials)


def _presented_token(request: Any) -> AccessToken | None:
    if not isinstance(request, HttpRequest) or not hasattr(request, "access"):
        return None
    token: AccessToken | None = request.access.token
    return token


def _is_by_session(request: Any) -> bool:
    if not isinstance(getattr(request, "session", None), SessionStore):
        return False
    if isinstance(request, HttpRequest):  # in a plain Django view only the session sets request.user
        return bool(request.user.is_authenticated)
    return isinstance(request.successful_authenticator, SessionAuthentication)
