"""The attributes that securecore sets on a request, and the types of requests and views.

Django creates each request, so no class of this module is instantiated in its place. ``SecureRequest`` declares the
attributes that a project may read. ``RequestState`` holds the values that the parts of securecore pass to each other;
a project reads none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from securecore.errors import Misuse

if TYPE_CHECKING:
    from django.contrib.auth.models import _AnyUser, _User

    from securecore.caller import PresentedCredentials
    from securecore.errors import Refused
    from securecore.http.authorization.header import AuthorizationHeader
    from securecore.http.freshness.dpop import PresentedProof
    from securecore.http.idempotency.policy import Policy
    from securecore.http.idempotency.recorded_checks import RecordedChecks
    from securecore.http.sessions.exposure import WatchedBody
    from securecore.idempotency import Claim
    from securecore.identity import ClientCertificate

#: The methods that RFC 9110 section 9.2.1 defines as safe: the client requests no effect.
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))

#: A request of Django or of REST framework. REST framework's request is no ``HttpRequest`` at run time; its type stubs
#: declare one.
AnyRequest = HttpRequest | Request
#: ``request.user``.
AnyUser: TypeAlias = "_AnyUser"
#: An object of the project's user model.
User: TypeAlias = "_User"
#: A view function, a handler method, or ``dispatch``.
View = Callable[..., HttpResponseBase]
#: A view, synchronous or ``async def``, of which a decorator keeps the type.
AnyView = TypeVar("AnyView", bound=Callable[..., Any])
#: The next middleware, or the view.
GetResponse = Callable[[HttpRequest], HttpResponseBase]


class SecureRequest(HttpRequest):
    """Django's request, with the attributes that ``ClientCertificateMiddleware`` and ``@idempotent`` set.

    A type for annotations: ``def view(request: SecureRequest) -> HttpResponse``. Inside securecore it also says that
    the request is Django's own: a decorator or a class of REST framework calls ``django_request()`` once, and passes
    the result on. A request without the middleware lacks the attributes, and a request that the middleware has refused
    lacks ``credentials``.
    """

    #: The client certificate of the connection, or None.
    client_certificate: ClientCertificate | None
    #: The active user of the certificate, or None.
    certificate_user: User | None
    #: The credentials of the request. The first use of a row runs the one query.
    credentials: PresentedCredentials
    #: The ``DPoP`` header of the request.
    dpop_proof: PresentedProof
    #: The claim of the request's idempotency key. Only the code under ``@idempotent`` has this attribute.
    idempotency: Claim
    #: Private to securecore; see ``state_of()``.
    securecore: RequestState


def django_request(request: AnyRequest) -> SecureRequest:
    """Return Django's request, also for a REST framework request, which wraps one."""
    return cast("SecureRequest", getattr(request, "_request", request))


def identified(request: SecureRequest) -> SecureRequest:
    """Return ``request``. Raises ``Misuse`` if ``ClientCertificateMiddleware`` has not run: nobody knows the caller."""
    if not hasattr(request, "client_certificate"):
        raise Misuse(
            "securecore has not seen this request. In the service, put "
            "'securecore.http.middleware.ClientCertificateMiddleware' into MIDDLEWARE. In a test, pass a request of "
            "RequestFactory to securecore.testing.identified(request, certificate)."
        )
    return request


def certificate_of(request: AnyRequest) -> ClientCertificate | None:
    """Return the client certificate; None also if ``ClientCertificateMiddleware`` has not run or has refused."""
    certificate: ClientCertificate | None = getattr(request, "client_certificate", None)
    return certificate


def credentials_of(request: AnyRequest) -> PresentedCredentials | None:
    """Return the presented credentials; None if ``ClientCertificateMiddleware`` has not run or has refused."""
    credentials: PresentedCredentials | None = getattr(request, "credentials", None)
    return credentials


@dataclass(slots=True)
class RequestState:
    """The values that the parts of securecore pass to each other on one request."""

    #: The id of the request, from the trusted proxy or made at the first use (``request_id_of``).
    request_id: str = ""
    #: The Authorization header, parsed at its first use (see ``authorization.header``).
    authorization: AuthorizationHeader | None = None
    #: The refusal and the database error of another middleware, which Django has turned into a 500 response.
    refusal: Refused | None = None
    database_away: Exception | None = None
    #: Whether caches may keep the response (``@public_response``).
    response_is_public: bool = False
    #: The stream that searches the body for session ids while the view reads it.
    watched_body: WatchedBody | None = None
    #: Whether the whole body is in memory or in a temporary file.
    body_is_received: bool = False
    #: The SHA-256 of the body, for the fingerprint of an idempotency key.
    body_digest: bytes | None = None
    #: The registered key that signed the request. Each permission check reads again whether the key is revoked.
    signature_keyid: str | None = None
    #: The policy that ``IdempotencyMiddleware`` chose for the class-based view of the request.
    idempotency_policy: Policy | None = None
    #: Whether observe mode has let this request pass without an idempotency key.
    missing_key_is_noted: bool = False
    #: The permission checks of the handler, while it runs under an idempotency key.
    recorded_checks: RecordedChecks | None = None


def state_of(request: SecureRequest) -> RequestState:
    """Return the state of ``request``. The first call creates it if ``ClientCertificateMiddleware`` has not run."""
    try:
        return request.securecore
    except AttributeError:
        request.securecore = RequestState()
        return request.securecore
