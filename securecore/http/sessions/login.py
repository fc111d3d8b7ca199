"""Functions for views: log in, step up and rotate the session id.

``login()`` is Django's ``login()`` with one more refusal. Signal receivers (receivers.py) do the rest, so code that
calls Django's ``login()`` gets the same new id, limit and binding.
"""

from __future__ import annotations

from django.contrib.auth import login as django_login
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest

from securecore import audit, clock, events, identity
from securecore.caller.conditions import of_certificate
from securecore.caller.presented import LockoutInForce
from securecore.conf import settings
from securecore.errors import CertificateRevoked, CredentialsRefused, LockedOut, Misuse
from securecore.grants import enter, principal_of, principals, take_gate
from securecore.http.authorization.caller import certificate_user_now
from securecore.http.request import AnyRequest, User, certificate_of, django_request
from securecore.http.sessions.binding import opened_from
from securecore.sessions import SessionStore, make_room


def login(request: HttpRequest, user: User, backend: str | None = None) -> None:
    """Open a session for ``user`` under a new id.

    Raises ``CredentialsRefused`` (401) if the request's certificate is enrolled for another user,
    ``Busy`` (503) if other logins of the user hold the lock for too long.
    """
    owner = certificate_user_now(django_request(request))
    if owner is not None and owner.pk != user.pk:
        raise CredentialsRefused
    django_login(request, user, backend)


def step_up(request: HttpRequest) -> None:
    """Record that the session's user has just authenticated again. Rotates the id and restarts the timeouts.

    Raises ``Misuse`` if no user is logged in.
    """
    if not request.user.is_authenticated:
        raise Misuse("step_up() is for a user who is logged in and has just authenticated again.")
    begin(request, request.user)


def rotate(request: HttpRequest) -> None:
    """Rotate the id of the request's session now. The old id is dead; see docs/sessions.md for concurrent requests."""
    store_of(request).rotate()


def begin(request: HttpRequest, user: User) -> None:
    """Store the session of a user after login, with a new id, its origin, and the limit of sessions applied."""
    session = store_of(request)
    session.opened_from = opened_from(request)
    try:
        with transaction.atomic(using=settings.DATABASE):
            _require_live_user(request, user)
            # This lock lets one login of a user run at a time. Under ATOMIC_REQUESTS the view's transaction keeps it.
            take_gate(principal_of(user))
            if (certificate := certificate_of(request)) is not None:
                identity.remember(certificate=certificate, now=clock.now())
            evicted = make_room(user=user, session_key=session.session_key, now=clock.now())
            session.begin()
            own, thumbprint = str(principal_of(user)), certificate.thumbprint if certificate else None
            place = {name: session.opened_from[name] for name in ("address", "device")}
            for event in (events.SessionOpened(user=own, certificate=thumbprint, **place), *evicted):
                audit.report(event)
    except BaseException:
        session.abandon()
        request.user = AnonymousUser()
        raise


def _require_live_user(request: HttpRequest, user: User) -> None:
    """Refuse the login if the user was deactivated or the certificate revoked since the request was authenticated.

    Both are read after the gates are entered. A revocation waits at the gates until the session is stored.
    """
    certificate = certificate_of(request)
    presented = identity.identifiers(certificate) if certificate is not None else ()
    names = (principal_of(user), *map(principals.certificate, presented))
    refusal = enter(names, conditions=of_certificate(certificate) if certificate else (), clock=clock.now)
    if refusal == CertificateRevoked.code:
        raise CertificateRevoked
    if refusal == LockedOut.code:
        raise LockedOut from LockoutInForce(*names)
    # An authentication backend of the project may accept inactive users, so refuse only a user that was active when the
    # request was authenticated.
    if refusal and getattr(user, "is_active", True):
        raise CredentialsRefused


def store_of(request: AnyRequest) -> SessionStore:
    session = getattr(request, "session", None)
    if not isinstance(session, SessionStore):
        raise Misuse("A securecore session needs SESSION_ENGINE = 'securecore.sessions' and its middleware.")
    return session
