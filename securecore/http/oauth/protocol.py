"""``OAuthView``, the base of the endpoints: parameters, client authentication and errors (RFC 6749)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import QueryDict, UnreadablePostError
from django.utils.decorators import method_decorator
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from securecore.conf import django_settings
from securecore.errors import InvalidDPoPProof, UseDPoPNonce
from securecore.http.authorization.caller import certificate_user_now
from securecore.http.authorization.header import authorization_of
from securecore.http.edge.transactions import outside_transactions
from securecore.http.idempotency import idempotency_exempt
from securecore.http.refusal_report import report_refusal
from securecore.http.request import certificate_of, django_request
from securecore.identity import ClientCertificate
from securecore.tokens import clients
from securecore.tokens.clients import AuthenticatedClient

#: The parameters that the endpoints read, and ``token_type_hint``, which decides nothing. A repeated one is refused.
#: Other parameters are ignored (RFC 6749 section 3.2), also repeated ones: ``resource`` may be repeated (RFC 8707
#: section 2).
_PARAMETERS = ("grant_type", "client_id", "scope", "refresh_token", "token", "token_type_hint")
#: The parameters of other client authentication methods (RFC 6749 section 2.3.1, RFC 7521 section 4.2).
_OTHER_AUTHENTICATION = ("client_secret", "client_assertion", "client_assertion_type")


_FORM = "The body must be a form: Content-Type: application/x-www-form-urlencoded."


class FormParser(BaseParser):
    """Parse a form in UTF-8 (RFC 6749 appendix B), and ignore ``charset``: some Python codecs do not decode text."""

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, object] | None = None
    ) -> QueryDict:
        longest: Any = django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE  # None is no limit
        if longest is None:
            return QueryDict(stream.read(), encoding="utf-8")
        body = stream.read(longest + 1)
        if len(body) > longest:
            raise RequestDataTooBig
        return QueryDict(body, encoding="utf-8")


class OAuthError(Exception):
    """An error of RFC 6749 section 5.2, or of an extension with the same form."""

    def __init__(
        self,
        error: str,
        *,
        kind: str = "",
        reason: str = "",
        description: str = "",
        status: int = 400,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(error)
        self.error = error
        #: For operators alone: the kind of the reason, one of a few words for counts, and the reason as a sentence.
        self.kind, self.reason = kind, reason or description
        #: For the developer of the client. It tells nothing that the client has not sent.
        self.description = description
        self.status = status
        self.headers = headers or {}


# A revocation by the view must commit although the response is an error, so no transaction is around the view.
@idempotency_exempt  # a stored response would keep the tokens in the database
@method_decorator(outside_transactions, name="dispatch")
class OAuthView(APIView):
    """A POST endpoint with a form body. Its responses are not cached, and it ignores parameters in the URL."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    parser_classes = (FormParser,)
    renderer_classes = (JSONRenderer,)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Refuse a repeated parameter, also if the grant type does not read it (RFC 6749 section 3.2)."""
        super().initial(request, *args, **kwargs)
        for name in _PARAMETERS:
            self.optional_parameter(name)

    def handle_exception(self, error: Exception) -> Response:
        error = _as_oauth_error(error)
        if not isinstance(error, OAuthError):
            return super().handle_exception(error)
        report_refusal(self.request, code=error.error, reason=error.reason, cause=error.__cause__, kind=error.kind)
        body = {"error": error.error} | ({"error_description": error.description} if error.description else {})
        return Response(body, status=error.status, headers=error.headers)

    def finalize_response(self, request: Request, response: Response, *args: object, **kwargs: object) -> Response:
        response["Cache-Control"] = "no-store"
        return super().finalize_response(request, response, *args, **kwargs)

    def client_certificate(self) -> ClientCertificate:
        """Return the certificate of the connection. Raises ``invalid_client`` (401) without one."""
        certificate = certificate_of(self.request)
        if certificate is None:
            reason = "The connection has no client certificate, or none that the proxy verified."
            raise OAuthError("invalid_client", status=401, kind="no-certificate", reason=reason)
        return certificate

    def parameter(self, name: str) -> str:
        """Return a parameter. Raises ``invalid_request`` if it is missing, empty or repeated (RFC 6749 section 3.2)."""
        value = self.optional_parameter(name)
        if value is None:
            raise OAuthError("invalid_request", description=f"The parameter {name} is missing.")
        return value

    def optional_parameter(self, name: str) -> str | None:
        """Return a parameter, or None if it is missing or empty. Raises ``invalid_request`` if it is repeated."""
        # For a request without a body and a content type, REST framework's data is a plain dictionary.
        form = self.request.data if isinstance(self.request.data, QueryDict) else QueryDict()
        values = form.getlist(name)
        if len(values) > 1 or any("\x00" in value for value in values):
            raise OAuthError("invalid_request", description=f"The parameter {name} is repeated or holds NUL.")
        return str(values[0]) if values and values[0] else None

    def authenticated_client(self) -> AuthenticatedClient:
        """Return the client that the certificate authenticates. Raises ``invalid_client`` (401).

        Raises ``invalid_request`` if the client uses a second authentication method, because the two methods could name
        different clients (RFC 6749 section 5.2).
        """
        of_django = django_request(self.request)
        if authorization_of(of_django).scheme == "basic" or any(map(self.optional_parameter, _OTHER_AUTHENTICATION)):
            raise OAuthError("invalid_request", description="The client certificate is the only client authentication.")
        certificate = self.client_certificate()
        presented = clients.PresentedCertificate(
            thumbprint=certificate.thumbprint,
            subject=certificate.subject,
            sans=certificate.sans,
            is_verified=certificate.is_verified,
            user=certificate_user_now(of_django),
        )
        presented_id = self.optional_parameter("client_id")
        try:
            return clients.authenticate(presented_id=presented_id, certificate=presented)
        except clients.ClientRefused as refused:
            raise OAuthError("invalid_client", status=401, kind=refused.kind, reason=str(refused)) from None


def _as_oauth_error(error: Exception) -> Exception:
    # SuspiciousOperation: Django's limits on the size of a form. UnreadablePostError: the client hung up.
    if isinstance(error, (ParseError, UnsupportedMediaType, SuspiciousOperation, UnreadablePostError)):
        is_other_type = isinstance(error, UnsupportedMediaType)
        converted = OAuthError("invalid_request", description=_FORM if is_other_type else "")
    elif isinstance(error, InvalidDPoPProof):
        converted = OAuthError("invalid_dpop_proof")
    elif isinstance(error, UseDPoPNonce):
        converted = OAuthError("use_dpop_nonce", headers=error.headers)
    else:
        return error
    converted.__cause__ = error
    return converted
