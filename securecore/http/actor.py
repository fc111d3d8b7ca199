"""The actor of a request, and the request's id, for events, audit rows, problem responses and logs.

The actor is read from values that are known already, so naming it costs no statement and raises no refusal.
"""

from __future__ import annotations

from typing import Any

from django.utils.functional import LazyObject, empty

from securecore import digests
from securecore.actors import Actor, Kind
from securecore.errors import Misuse
from securecore.grants import principal_of
from securecore.http.request import AnyRequest, certificate_of, django_request, state_of
from securecore.http.sessions.binding import address_of
from securecore.identity import ClientCertificate


def request_id_of(request: AnyRequest) -> str:
    """Return the id of the request: that of the trusted proxy, or a random one."""
    state = state_of(django_request(request))
    if not state.request_id:
        state.request_id = digests.new_name()
    return state.request_id


def actor_of(request: AnyRequest) -> Actor:
    """Return the actor of the request, as far as the request is authenticated by now."""
    request = django_request(request)
    name = user_of(request)
    certificate = certificate_of(request)
    kind: Kind = "user" if name else "certificate" if certificate else "anonymous"
    if name and _is_in_admin(request):
        kind = "admin"
    if not name and certificate is not None:
        name = f"certificate:{certificate.thumbprint}"
    return Actor(kind=kind, name=name, address=address_of(request), request_id=request_id_of(request))


def user_of(request: AnyRequest) -> str:
    """Return the principal of the user if it is known by now: of the view, or of the certificate; else ""."""
    request = django_request(request)
    for user in (_loaded(vars(request).get("user")), getattr(request, "certificate_user", None)):
        if getattr(user, "pk", None) is not None:
            try:
                return str(principal_of(user))
            except Misuse:  # the user object of another package
                continue
    return ""


def serial_of(certificate: ClientCertificate | None) -> str | None:
    """Return the serial number of the certificate as nginx writes it."""
    return None if certificate is None else nginx_serial(certificate.serial_number)


def nginx_serial(serial_number: str) -> str:
    """Return a serial number as nginx writes ``$ssl_client_serial``: upper case, an even number of digits."""
    digits = serial_number.upper()
    return digits if len(digits) % 2 == 0 else f"0{digits}"


def _loaded(user: Any) -> Any:
    """Return the user, or None if the first use would read the database."""
    if isinstance(user, LazyObject):
        wrapped = vars(user).get("_wrapped")
        return None if wrapped is empty else wrapped
    return user


def _is_in_admin(request: AnyRequest) -> bool:
    match = getattr(request, "resolver_match", None)
    return match is not None and "admin" in match.app_names
