"""``@fresh`` and ``FreshMixin``: accept a request once, with a proof of one of three strengths.

=============  ======================================================================  ================================
``proof=``     headers of the request                                                  parts that the proof covers
=============  ======================================================================  ================================
"nonce"        ``X-Request-Timestamp``, ``X-Request-Nonce``                            none; TLS protects the content
"dpop"         an access token bound to a key, and that key's proof (RFC 9449)         method, URL and token
"signature"    ``Signature-Input``, ``Signature``, ``Content-Digest`` (RFC 9421)       the whole request with its body
=============  ======================================================================  ================================
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar, overload

from django.db import transaction
from django.http.request import RawPostDataException
from django.http.response import HttpResponseBase
from django.views import View as DjangoView
from rest_framework.request import Request as RestRequest

from securecore import clock, database, observe, replay
from securecore.caller import credential_table
from securecore.conf import settings
from securecore.errors import (
    AuthenticationRequired,
    ContentDigestMalformed,
    ContentDigestMismatch,
    ContentDigestMissing,
    EarlyData,
    InvalidDPoPProof,
    InvalidToken,
    Misuse,
    NonceMalformed,
    NonceMissing,
    Refused,
    SignatureIncomplete,
    SignatureKeyUnknown,
    SignatureMalformed,
    SignatureMissing,
    SignatureStale,
    TimestampMalformed,
    TimestampMissing,
    TimestampStale,
    UseDPoPNonce,
)
from securecore.grants import principal_of
from securecore.http.async_views import finished, in_form_of
from securecore.http.authorization.caller import choice_of, is_signed_by_certificate, nonce_scope
from securecore.http.authorization.header import DPOP, authorization_of, challenged
from securecore.http.edge.request_body import receive_body
from securecore.http.edge.target import target_uri
from securecore.http.request import SAFE_METHODS, AnyRequest, AnyView, View, django_request, state_of
from securecore.http.view_arguments import request_of, require_function
from securecore.replay import signature_keys
from securecore_client.wire.message_signatures import PublicKey, Request


@overload
def fresh(view: AnyView) -> AnyView: ...
@overload
def fresh(*, proof: str) -> Callable[[AnyView], AnyView]: ...
def fresh(view: AnyView | None = None, *, proof: str = "nonce") -> AnyView | Callable[[AnyView], AnyView]:
    """Accept a request once, by its ``proof``: ``@fresh`` or ``@fresh(proof="signature")``.

    A missing or malformed proof is a 400. A stale, future or wrong proof is a 401. A repeated proof is a 409, and early
    data is a 425. With ``"dpop"`` each refusal except early data is a 401 with a challenge (RFC 9449 section 7.1).

    The claim commits in its own transaction before the view runs, so a rollback of the view does not undo the claim.
    Under ATOMIC_REQUESTS the view's transaction begins after the claim. Make ``@fresh`` the outermost decorator. With
    ATOMIC_REQUESTS put it on ``dispatch`` and not on a handler (raises ``Misuse`` otherwise), or use ``FreshMixin``.
    """
    if proof not in PROOFS:
        raise Misuse(f"@fresh(proof={proof!r}): use one of {', '.join(map(repr, PROOFS))}.")
    if view is None:
        return partial(_decorated, proof=proof)
    return _decorated(view, proof=proof)


def _decorated(view: AnyView, *, proof: str) -> AnyView:
    on_class = 'use FreshMixin (REST framework), or @method_decorator(fresh, name="dispatch")'
    require_function(view, decorator="@fresh", on_class=on_class)

    def claimed(*args: object, **kwargs: object) -> HttpResponseBase:
        _, request = request_of(args)
        claim_freshness(request, proof)
        return inner(*args, **kwargs)

    inner = _in_requests_transaction(view, exempt=getattr(view, "_non_atomic_requests", ()))
    decorated = in_form_of(view, claimed)
    decorated.securecore_fresh = proof  # type: ignore[attr-defined]
    return transaction.non_atomic_requests(using=settings.DATABASE)(decorated)


class FreshMixin:
    """Accept each request of a REST framework view or viewset once: ``class Payouts(FreshMixin, APIView)``.

    List the mixin before the base class. The mixin claims after authentication, permissions and throttles, so a request
    that one of them refuses inserts no row. The claim commits before the view's transaction also under ATOMIC_REQUESTS.
    """

    #: "nonce", "dpop" or "signature".
    freshness: ClassVar[str] = "nonce"
    #: The methods that must be fresh; None for each unsafe method. "GET" includes HEAD.
    fresh_methods: ClassVar[tuple[str, ...] | None] = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if cls.freshness not in PROOFS:
            raise Misuse(f"{cls.__name__}.freshness is {cls.freshness!r}: use one of {', '.join(map(repr, PROOFS))}.")
        methods: Any = cls.fresh_methods
        if methods is not None and not (
            isinstance(methods, tuple) and methods and set(methods) <= cls._known_methods()
        ):
            raise Misuse(f"{cls.__name__}.fresh_methods must be methods such as ('POST',), not {methods!r}.")

    @classmethod
    def _known_methods(cls) -> set[str]:
        names = getattr(cls, "http_method_names", DjangoView.http_method_names)
        return {name.upper() for name in names}

    @classmethod
    def demands_freshness(cls, method: str) -> bool:
        """Return whether a request of this method must be fresh."""
        if cls.fresh_methods is None:
            return method not in SAFE_METHODS
        return method in cls.fresh_methods or (method == "HEAD" and "GET" in cls.fresh_methods)

    @classmethod
    def as_view(cls, *args: object, **kwargs: object) -> Any:
        view: View = super().as_view(*args, **kwargs)  # type: ignore[misc]
        return transaction.non_atomic_requests(using=settings.DATABASE)(view)

    def initial(self, request: RestRequest, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)  # type: ignore[misc]
        if self.demands_freshness(str(request.method)):
            claim_freshness(request, self.freshness)
        name = str(request.method).lower()
        if hasattr(self, name):
            exempt = getattr(type(self).dispatch, "_non_atomic_requests", ())  # type: ignore[attr-defined]
            setattr(self, name, _in_requests_transaction(getattr(self, name), exempt=exempt))


def claim_freshness(request: AnyRequest, proof: str) -> None:
    """Claim the proof of ``request``; ``proof`` is a key of ``PROOFS``.

    Raises the refusal of the proof, and ``Misuse`` inside a transaction.
    """
    if "HTTP_EARLY_DATA" in request.META:
        raise EarlyData  # RFC 8470 section 5.2; the middleware has refused unsafe methods already
    try:
        PROOFS[proof](request, clock.now())
    except _OBSERVABLE as refusal:
        if not observe.lets_pass("freshness", code=refusal.code, reason=refusal.title):
            raise


#: The refusals that observe mode lets pass: the client sends no proof yet, or one with a wrong clock. A repeated proof
#: and a wrong signature are always refused.
_OBSERVABLE = (
    TimestampMissing,
    TimestampMalformed,
    TimestampStale,
    NonceMissing,
    NonceMalformed,
    SignatureMissing,
    SignatureMalformed,
    SignatureIncomplete,
    SignatureStale,
    ContentDigestMissing,
    ContentDigestMalformed,
)


def _in_requests_transaction(view: View, *, exempt: Iterable[str]) -> View:
    """Run ``view`` in the transaction that ATOMIC_REQUESTS promises.

    ``@fresh`` exempts the outer view from ATOMIC_REQUESTS, because the claim must commit before this transaction.
    """
    exempt = frozenset(exempt)

    def atomic_view(*args: object, **kwargs: object) -> HttpResponseBase:
        is_atomic = database.connection().settings_dict["ATOMIC_REQUESTS"] and settings.DATABASE not in exempt
        if is_atomic:
            receive_body(django_request(request_of(args)[1]))
        with transaction.atomic(using=settings.DATABASE) if is_atomic else nullcontext():
            returned: HttpResponseBase = finished(view(*args, **kwargs))
            return returned

    return atomic_view


def _nonce(request: AnyRequest, now: dt.datetime) -> None:
    made_at = replay.parse_timestamp(request.headers.get("X-Request-Timestamp"), now=now)
    presented_nonce = request.headers.get("X-Request-Nonce")
    replay.claim_nonce(presented_nonce, scope=nonce_scope(request), made_at=made_at, now=now)


def _dpop(request: AnyRequest, _: dt.datetime) -> None:
    """Accept the request's DPoP-bound access token and the proof of its key.

    A proof without a token is not enough, because any client can create a key.
    """
    try:
        if authorization_of(django_request(request)).scheme != DPOP:
            raise InvalidDPoPProof("A DPoP-bound access token and its proof are needed.")
        credential = choice_of(request).credential
        if credential is None or credential.kind != credential_table.DPOP:
            raise InvalidToken
    except (InvalidDPoPProof, InvalidToken, UseDPoPNonce) as refusal:
        challenged(refusal, DPOP)
        raise


def _signature(request: AnyRequest, now: dt.datetime) -> None:
    fields = {name.lower(): value for name, value in request.headers.items()}
    message = Request(method=str(request.method), url=target_uri(request), fields=fields)
    try:
        key_of = partial(_signature_key, request)
        signature = replay.verify_signature(message, body=_raw_body(request), key_of=key_of, now=now)
    except (SignatureMissing, SignatureIncomplete) as refusal:
        refusal.headers["Accept-Signature"] = replay.accept_signature(message)
        raise
    replay.claim_signature(signature, now=now)


def _signature_key(request: AnyRequest, keyid: str) -> PublicKey:
    """Return the public key named ``keyid``: the client certificate's key or a key registered for the caller.

    ``keyid`` may be the thumbprint of the client certificate if the certificate is the caller's own. A good signature
    by another user's or service's key is refused (RFC 9421 section 7.3.3): for example a signature by a backend's
    certificate on a request with the DPoP token of one of its users.
    """
    of_django = django_request(request)
    certificate = of_django.client_certificate
    if certificate is not None and keyid == certificate.thumbprint:
        if not is_signed_by_certificate(request):
            raise SignatureKeyUnknown
        return signature_keys.loaded(base64.b64decode(certificate.public_key))
    key = signature_keys.find(keyid)
    if principal_of(key.user) != _user_of(request):
        raise SignatureKeyUnknown
    # The permission checks of this request read again whether the key is revoked.
    state_of(of_django).signature_keyid = keyid
    return signature_keys.loaded(key.public_key.encode())


def _user_of(request: AnyRequest) -> str:
    credential = choice_of(request).credential
    if credential is None or credential.user is None:
        raise AuthenticationRequired
    return credential.user


def _raw_body(request: AnyRequest) -> bytes:
    try:
        return request.body
    except RawPostDataException as error:
        # CSRF protection or a permission has parsed a multipart form, and Django does not keep its bytes.
        reason: Refused = ContentDigestMismatch("The body was read before it could be compared.")
        raise reason from error


PROOFS: dict[str, Callable[[AnyRequest, dt.datetime], None]] = {"nonce": _nonce, "dpop": _dpop, "signature": _signature}
