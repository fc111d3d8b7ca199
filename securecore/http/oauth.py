"""The token endpoint and the revocation endpoint (RFC 6749, RFC 7009), for clients that authenticate by certificate."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import QueryDict
from django.utils.decorators import method_decorator
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore import clock, tokens
from securecore.errors import InvalidToken
from securecore.revocation import revoke_token

#: The user whose certificate it is asks for a token, without any other credential.
CERTIFICATE_GRANT = "urn:securecore:grant-type:certificate"


class OAuthError(Exception):
    """An error of RFC 6749 section 5.2, which has a format of its own."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.status = status


class FormParser(BaseParser):
    """A form in UTF-8 (RFC 6749 appendix B), whatever ``charset`` says: some encodings of Python raise for any text."""

    media_type = "application/x-www-form-urlencoded"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> QueryDict:
        return QueryDict(stream.read(), encoding="utf-8")


class OAuthView(APIView):
    """Errors as RFC 6749 section 5.2 has them; nothing is cached; parameters come from the form body only."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = (FormParser,)

    def handle_exception(self, error: Exception) -> Response:
        if isinstance(error, (ParseError, UnsupportedMediaType)):
            error = OAuthError("invalid_request")
        if isinstance(error, OAuthError):
            return Response({"error": error.error}, status=error.status)
        return super().handle_exception(error)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)

    def parameter(self, request: Any, name: str) -> str:
        """Return a required parameter; missing, empty or repeated is ``invalid_request`` (RFC 6749 section 3.2)."""
        values = self.form(request).getlist(name)
        if len(values) != 1 or not values[0]:
            raise OAuthError("invalid_request")
        return str(values[0])

    def form(self, request: Any) -> QueryDict:
        # Without a body and a content type REST framework gives a plain dictionary.
        return request.data if isinstance(request.data, QueryDict) else QueryDict()

    def authenticated_user(self, request: Any) -> Any:
        """Return the user whose certificate this is (RFC 8705 section 2: the client is known by its certificate)."""
        user = request.certificate_user
        if user is None:
            raise OAuthError("invalid_client", status=401)
        return user


class TokenView(OAuthView):
    """``client_credentials`` for the service whose certificate it is, and a user's exchange of the certificate for a
    token.

    Every token is bound to the certificate (RFC 8705 section 3).
    """

    def post(self, request: Any) -> Response:
        grant_type = self.parameter(request, "grant_type")
        if grant_type not in ("client_credentials", CERTIFICATE_GRANT):
            raise OAuthError("unsupported_grant_type")
        user = self.authenticated_user(request)
        # A user's exchange need not name its client, but no client is believed to be another than its certificate's.
        is_named = grant_type == "client_credentials" or any(self.form(request).getlist("client_id"))
        if is_named and self.parameter(request, "client_id") != user.get_username():
            raise OAuthError("invalid_client", status=401)
        thumbprint = request.client_certificate.thumbprint
        encoded, token = tokens.issue(
            subject=str(user.pk), client_id=user.get_username(), thumbprint=thumbprint, now=clock.now()
        )
        lifetime = token.expires_at - clock.now()
        return Response(
            {"access_token": encoded, "token_type": "Bearer", "expires_in": max(0, round(lifetime.total_seconds()))}
        )


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class RevocationView(OAuthView):
    """Revoke an access token of the client's own. 200 also for tokens that mean nothing (RFC 7009 section 2.2)."""

    def post(self, request: Any) -> Response:
        user = self.authenticated_user(request)
        presented_token = self.parameter(request, "token")
        try:
            token = tokens.verify(presented_token, now=clock.now())
        except InvalidToken:
            return Response()
        if token.client_id == user.get_username():
            revoke_token(issuer=token.issuer, jti=token.jti, expires_at=token.expires_at)
        return Response()
