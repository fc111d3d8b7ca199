"""What a view does with its session: log in, step up, change the id.

``login()`` is Django's own with one more refusal; everything else it promises holds for code that calls Django's too,
since it happens in receivers (see receivers.py).
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login as django_login
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest

from securecore import clock, events, identity
from securecore.conf import settings
from securecore.errors import CertificateRevoked, CredentialsRefused, Misuse
from securecore.grants import enter, principal_of, principals, take_gate
from securecore.http.authorization.callers import certificate_user
from securecore.http.sessions.binding import opened_from
from securecore.sessions import SessionStore, make_room


def login(request: HttpRequest, user: Any, backend: str | None = None) -> None:
    """Open a session for ``user``, with an id that is new in any case.

    Raises ``CredentialsRefused`` (401) when the request's certificate is enrolled for somebody else,
    ``SessionLimitReached`` (403), and ``Busy`` (503) when the wait for the user's other logins was too long.
    """
    owner = certificate_user(request) if hasattr(request, "access") else None
    if owner is not None and owner.pk != user.pk:
        raise CredentialsRefused
    django_login(request, user, backend)


def step_up(request: HttpRequest) -> None:
    """Note that the session's user has just authenticated once more. The id changes, and the timeouts start again.

    Raises ``Misuse`` if nobody is logged in.
    """
    if not request.user.is_authenticated:
        raise Misuse("step_up() is for a user who is logged in and has just authenticated again.")
    begin(request, request.user)


def rotate(request: HttpRequest) -> None:
    """Change the id of the request's session now. The old id is dead; see the manual for requests on their way."""
    store_of(request).rotate()


def begin(request: Any, user: Any) -> None:
    """Store the session of the user who has just logged in: new id, limit, and where it was opened from."""
    session = store_of(request)
    session.opened_from = opened_from(request)
    try:
        with transaction.atomic(using=settings.DATABASE):
            _require_standing(request, user)
            # Logins of one user pass one at a time; under ATOMIC_REQUESTS until the view's transaction ends.
            take_gate(principal_of(user))
            if (certificate := getattr(request, "client_certificate", None)) is not None:
                identity.remember(certificate=certificate, now=clock.now())
            evicted = make_room(user=user, session_key=session.session_key, now=clock.now())
            session.begin()
    except BaseException:
        session.abandon()
        request.user = AnonymousUser()
        raise
    if evicted:
        events.emit(events.SessionsEnded(count=evicted, reason=f"limit of {principal_of(user)}"))


def _require_standing(request: Any, user: Any) -> None:
    """Refuse a login whose user was deactivated, or whose certificate was revoked, since the request was authenticated.
    Either is read behind the gates, which stay closed to a revocation until the session is stored.
    """
    certificate = getattr(request, "client_certificate", None)
    presented = identity.identifiers(certificate) if certificate is not None else ()
    refusal = enter((principal_of(user), *map(principals.certificate, presented)), clock=clock.now)
    if refusal == "certificate-revoked":
        raise CertificateRevoked
    # An authentication backend of the project may let inactive users log in.
    if refusal and getattr(user, "is_active", True):
        raise CredentialsRefused


def store_of(request: Any) -> SessionStore:
    session = getattr(request, "session", None)
    if not isinstance(session, SessionStore):
        raise Misuse("This needs SESSION_ENGINE = 'securecore.sessions' and its middleware.")
    return session
