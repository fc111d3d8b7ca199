"""Describe securecore's schemes, headers and problem responses in the OpenAPI schema of drf-spectacular.

To use it, set ``REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "securecore.http.openapi.AutoSchema"}``. Only a project with
this setting needs drf-spectacular. OpenAPI has a scheme for mutual TLS since version 3.1: set ``OAS_VERSION`` to
"3.1.0".
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema as SpectacularAutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter

from securecore import errors
from securecore.conf import django_settings
from securecore.errors import Refused
from securecore.http.freshness.fresh import FreshMixin
from securecore.http.idempotency.policy import Policy
from securecore.http.problems import CONTENT_TYPE
from securecore.http.request import SAFE_METHODS


def _header(name: str, description: str, *, required: bool = True, **schema: object) -> OpenApiParameter:
    """Describe a header by a JSON schema, ``type`` "string" unless given. A generated client validates by it."""
    return OpenApiParameter(
        name, {"type": "string", **schema}, OpenApiParameter.HEADER, required=required, description=description
    )


_KEY = "One string of 1 to 255 visible ASCII characters, the same for every repeat of one request."
#: A token without quotes, or a String of RFC 9651: the two forms that ``idempotency.keys`` parses, without parameters.
_KEY_PATTERN = r"^([A-Za-z0-9_-][!#$%&'*+\-.^_`|~:/=@A-Za-z0-9]{0,254}|" + r'"([ !#-\[\]-~]|\\["\\]){1,255}")$'
_SIGNATURE_INPUT = (
    'One signature (RFC 9421) over "@method", "@target-uri", "@authority", and those of "content-digest", '
    '"content-type", "content-encoding", "idempotency-key" and "authorization" that the request has; with created, '
    "expires, nonce and keyid."
)
#: The headers of each strength of ``@fresh``.
_FRESHNESS_HEADERS = {
    "nonce": [
        _header("X-Request-Timestamp", "Unix seconds.", type="integer", minimum=0, maximum=10**11 - 1),
        _header(
            "X-Request-Nonce",
            "16 to 128 visible ASCII characters without the comma, good for one request.",
            pattern=r"^[!-+\--~]{16,128}$",
        ),
    ],
    "dpop": [_header("DPoP", "A proof of this request by the key of the access token (RFC 9449).")],
    "signature": [
        _header("Signature-Input", _SIGNATURE_INPUT, minLength=1),
        _header("Signature", "Its value, under the same label.", minLength=1),
        _header("Content-Digest", "sha-256 or sha-512 of the body, if there is one (RFC 9530).", required=False),
    ],
}
_IDEMPOTENCY_REFUSALS = (
    errors.IdempotencyKeyMissing,
    errors.IdempotencyKeyMalformed,
    errors.IdempotencyInProgress,
    errors.IdempotencyKeyReused,
)
_FRESHNESS_REFUSALS: dict[str, tuple[type[Refused], ...]] = {
    "nonce": (
        errors.TimestampMissing,
        errors.TimestampMalformed,
        errors.NonceMissing,
        errors.NonceMalformed,
        errors.TimestampStale,
        errors.NonceReused,
        errors.EarlyData,
    ),
    "dpop": (errors.InvalidDPoPProof, errors.UseDPoPNonce, errors.EarlyData),
    "signature": (
        errors.SignatureMissing,
        errors.SignatureMalformed,
        errors.SignatureIncomplete,
        errors.ContentDigestMissing,
        errors.ContentDigestMalformed,
        errors.ContentDigestMismatch,
        errors.SignatureStale,
        errors.SignatureKeyUnknown,
        errors.SignatureInvalid,
        errors.NonceReused,
        errors.EarlyData,
    ),
}
#: The members of RFC 9457 section 3.1, and securecore's stable ``code``.
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable: programs may decide by it."},
        "detail": {"type": "string"},
    },
}


class AutoSchema(SpectacularAutoSchema):
    """drf-spectacular's ``AutoSchema`` with the headers and refusals of ``@fresh``, ``FreshMixin``, ``@idempotent``.

    A response of status 400 or above that a project describes without content is a problem response. Example:
    ``@extend_schema(responses={422: OpenApiResponse(description="no-account.")})``.
    """

    def get_override_parameters(self) -> list[Any]:
        headers = list(_FRESHNESS_HEADERS.get(self._freshness(), []))
        if (policy := self._idempotency()) is not None:
            headers.append(_header("Idempotency-Key", _KEY, required=policy.required, pattern=_KEY_PATTERN))
        return [*super().get_override_parameters(), *headers]

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is not None:
            for status, own in operation["responses"].items():
                if int(status) >= 400 and "content" not in own:
                    own["content"] = self._problem([])["content"]
            for status, codes in sorted(self._refusals(operation).items()):
                self._add_problem(operation["responses"], str(status), codes)
        return operation

    def _add_problem(self, responses: dict[str, Any], status: str, codes: list[str]) -> None:
        """Add the problem response, also to a response of the project's own with this status."""
        problem = self._problem(codes)
        own = responses.setdefault(status, problem)
        if own is not problem:
            own["content"] = {**problem["content"], **own.get("content", {})}
            own["description"] = " ".join(filter(None, [own.get("description"), problem["description"]]))

    def _refusals(self, operation: dict[str, Any]) -> dict[int, list[str]]:
        """Return the codes of the operation's refusals by status."""
        refusals: list[type[Refused]] = [errors.TokenInUrl, errors.TextRefused, errors.DatabaseUnavailable]
        if operation.get("security") and {} not in operation["security"]:
            refusals += [errors.AuthenticationRequired, errors.PermissionDenied]
        if freshness := self._freshness():
            refusals += (*_FRESHNESS_REFUSALS[freshness], errors.ReplayStoreUnavailable)
        if self._idempotency() is not None:
            refusals += _IDEMPOTENCY_REFUSALS
        codes: dict[int, list[str]] = defaultdict(list)
        for refusal in refusals:
            # A resource refuses DPoP with a 401 and a challenge (RFC 9449 section 7.1).
            status = 401 if issubclass(refusal, (errors.InvalidDPoPProof, errors.UseDPoPNonce)) else refusal.status
            codes[status].append(refusal.code)
        for status, more in _codes_of_rest_framework(operation).items():
            codes[status] += more
        return codes

    def _problem(self, codes: list[str]) -> dict[str, Any]:
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Problem", type=ResolvedComponent.SCHEMA, object="securecore.Problem", schema=_PROBLEM
        )
        self.registry.register_on_missing(component)
        return {"content": {CONTENT_TYPE: {"schema": component.ref}}, "description": f"{', '.join(codes)}."}

    def _freshness(self) -> str:
        view: Any = self.view
        if isinstance(view, FreshMixin):
            return view.freshness if view.demands_freshness(self.method) else ""
        return str(self._marked("securecore_fresh") or "")

    def _idempotency(self) -> Policy | None:
        return None if self.method in SAFE_METHODS else self._marked("securecore_idempotent")

    def _marked(self, name: str) -> Any:
        """Return the attribute that a decorator has set on the handler, ``dispatch`` or the class; else None."""
        handler = getattr(self.view, self.method.lower(), None)
        for place in (handler, getattr(self.view, "dispatch", None), type(self.view)):
            while place is not None:
                if name in getattr(place, "__dict__", {}):
                    return place.__dict__[name]
                place = getattr(place, "__wrapped__", None)
        return None


def _codes_of_rest_framework(operation: dict[str, Any]) -> dict[int, list[str]]:
    """Return the codes of REST framework's own refusals by status, as ``problems.exception_handler`` names them."""
    codes: dict[int, list[str]] = {}
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    if "requestBody" in operation:
        codes = {400: ["parse-error", "invalid"], 415: ["unsupported-media-type"]}
    elif "query" in places:
        codes[400] = ["invalid"]
    if "path" in places:
        codes[404] = ["not-found"]
    return codes


class CertificateScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "securecore.http.authentication.CertificateAuthentication"
    name = "clientCertificate"

    def get_security_definition(self, auto_schema: SpectacularAutoSchema) -> dict[str, str]:
        return {"type": "mutualTLS"}


class AccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "securecore.http.authentication.AccessTokenAuthentication"
    name = "accessToken"

    def get_security_definition(self, auto_schema: SpectacularAutoSchema) -> dict[str, str]:
        description = "Bound to the client certificate, which must be on the wire (RFC 8705)."
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": description}


class SimpleJWTScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "securecore.http.authentication.SimpleJWTAuthentication"
    name = "simpleJWT"

    def get_security_definition(self, auto_schema: SpectacularAutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class DPoPScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "securecore.http.authentication.DPoPAuthentication"
    name = "dpop"

    def get_security_definition(self, auto_schema: SpectacularAutoSchema) -> dict[str, str]:
        description = "With a DPoP header for each request (RFC 9449)."
        return {"type": "http", "scheme": "DPoP", "description": description}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "securecore.http.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: SpectacularAutoSchema) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": django_settings.SESSION_COOKIE_NAME}
