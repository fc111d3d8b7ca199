"""The life of the session of one request: read, rotated, logged in, ended, settled after a rollback.

``session.state`` is one of the states in ``states``. Django's engine interface is in ``store``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import transaction

from securecore import audit, clock, database, digests, events
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.sessions import columns
from securecore.sessions.models import Session, SessionQuerySet, record_id
from securecore.sessions.signatures import SignedSession
from securecore.sessions.statements import SessionRow, find, find_replaced, write
from securecore.sessions.states import SessionState


class SessionLifecycle(SignedSession):
    """The states of one session in one request, and the methods that change them. ``SessionStore`` is the engine."""

    def __init__(self, session_key: str | None = None, *proven: str) -> None:
        super().__init__(session_key)
        self.presented_key = session_key
        self.proven = proven or ("",)
        #: Whether the creator of this store named the bindings of its request: ``SessionStore(key)`` names none.
        self._knows_bindings = bool(proven)
        self.state = SessionState.UNREAD if self.session_key else SessionState.ABSENT
        #: Columns for the place where a new session is opened: certificate, address, device.
        self.opened_from: dict[str, str] = {}
        #: Returns the session's row as the one query read it: a tuple of the row or None; an empty tuple if the query
        #: did not run. See ``securecore.caller``.
        self.prefetched_row: Callable[[], tuple[SessionRow | None, ...]] = tuple
        #: The contents that ``begin()`` wrote, until the next ``save()``.
        self._login_contents: bytes | None = None
        #: Whether this request gave or ended an id in a transaction, which may still roll back.
        self._may_roll_back = False
        self._ended_key: str | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the presented id belongs to a live session with another binding. Reads the session."""
        self._contents()
        return self.state is SessionState.REFUSED

    def rotate(self) -> None:
        """Change the id. If another request of the same browser has just changed it, this request becomes read-only."""
        self._contents()
        if self.session_key is None or self.state.is_read_only or self._move():
            return
        self.state = SessionState.CURRENT
        self.note_rotation()

    def begin(self) -> None:
        """Record a login or step-up of the session's user, and store it at once.

        The session gets an id that no request has presented. Django's ``login()`` keeps the id when the same user logs
        in again, which ASVS 5.0 v5.0.0-7.2.4 forbids. An anonymous session keeps its contents, as in Django. Both
        timeouts start again.

        Raises ``SessionInterrupted`` (400) if another request ends the session meanwhile.
        """
        data = self._contents()
        if self.state.is_read_only or self.session_key is None:
            self.create()
        elif self.session_key == self.presented_key and not self._move():
            _drop_contents(data)  # another request ended the session: the login is good, the old contents are gone
            self.create()
        now = clock.now()
        if not self._update(now, data, **columns.at_login(now, data), **self.opened_from):
            raise SessionInterrupted("The session was ended while its user logged in.")
        self.modified, self._login_contents = True, self.serializer().dumps(data)

    def end(self) -> None:
        """End the session, also if this request presented the id before the last rotation."""
        self._contents()
        if self.state.is_read_only and self.presented_key is not None:
            close(rows().replaced(self.presented_key, clock.now()).filter(binding__in=self.proven))
            self._session_key = None
        if self.state.is_read_only:
            self.state = SessionState.ENDED

    def abandon(self) -> None:
        """Drop this request's changes to the session."""
        self.__dict__.pop("_session_cache", None)

    def settle(self) -> None:
        """Adjust the session to a rollback of the view's transaction.

        A session that the view ended is ended again, also after a rollback. If the view's rotation or new session was
        rolled back, the session has the presented id again, or no id if the view had ended the session.
        """
        if not self._may_roll_back:
            return
        self._may_roll_back = False
        if self._ended_key is not None:
            close(rows().named(self._ended_key).filter(binding__in=self.proven))
        if self.session_key not in (None, self.presented_key, self._ended_key) and not self.exists(self.session_key):
            self._session_key = None if self._ended_key else self.presented_key
            self.state = SessionState.ENDED if self._ended_key else SessionState.UNREAD
            self.modified = False
            self.abandon()

    def note_rotation(self) -> bool:
        """Become read-only if another request has rotated the id within the last ``GRACE``; say whether it has."""
        was_rotated = self.was_replaced()
        if was_rotated:
            self.state = SessionState.REPLACED
        return was_rotated

    def was_replaced(self) -> bool:
        """Say whether another request rotated this request's session id within the last ``GRACE``."""
        presented = self.session_key or self.presented_key
        if presented is None:
            return False
        return rows().replaced(presented, clock.now()).filter(binding__in=self.proven).exists()

    def is_authenticated_since(self, instant: dt.datetime) -> bool:
        """Say whether the session's row has a login or step-up after ``instant``. Reads the database."""
        self._contents()
        # A replaced id names no row, so it is never recent.
        return self._live(clock.now()).filter(authenticated_at__gt=instant, user__isnull=False).exists()

    def _contents(self) -> dict[str, Any]:
        """Return the contents; the first call reads the session."""
        contents: dict[str, Any] = self._get_session()  # type: ignore[attr-defined]
        return contents

    def _read(self, now: dt.datetime) -> SessionRow | None:
        """Return the row of the presented session if this request may read it, and set the state."""
        key = str(self.session_key)
        read, self.prefetched_row = self.prefetched_row, tuple
        known = read() if key == self.presented_key else ()
        row = (known[0] if known else find(key, now=now)) or find_replaced(key, now=now)
        self.state = SessionState.of_row(row, self.proven)
        if row is not None and self.state is SessionState.REFUSED:
            if not self._knows_bindings:
                raise Misuse(_NO_BINDINGS)
            self._report_refusal(row)
            return None
        return row

    def _report_refusal(self, row: SessionRow) -> None:
        # The session stays live: otherwise a thief with the cookie could log the owner out.
        user = None if row.user_id is None else str(row.user_id)
        presented = " ".join(self.proven)
        events.emit(events.SessionBindingMismatch(user=user, bound_to=row.binding, presented=presented))

    def _named(self) -> SessionQuerySet:
        return rows().named(str(self.session_key)).filter(binding__in=self.proven)

    def _live(self, now: dt.datetime) -> SessionQuerySet:
        return self._named().live(now)

    def _move(self) -> bool:
        """Give the live session a new id by a new row in place of the old; return False if no session is live.

        A primary key is never updated, since a distributed database spreads the rows by it.
        """
        now, new_key = clock.now(), digests.new_secret()
        with transaction.atomic(using=settings.DATABASE):
            row = self._live(now).select_for_update().first()
            if row is None:
                return False
            rows().filter(pk=row.pk).delete()
            for name, value in columns.at_rotation(now, row, new=record_id(new_key)).items():
                setattr(row, name, value)
            row.save(using=settings.DATABASE, force_insert=True)
        self._note_transaction()
        self._session_key, self.state, self.modified = new_key, SessionState.CURRENT, True
        return True

    def _update(self, now: dt.datetime, data: dict[str, Any], **more: Any) -> bool:
        contents, seconds = columns.contents(now, data, self.encode(data)), self._idle_seconds(data)
        if not more:
            idle = now + dt.timedelta(seconds=seconds)
            return write(str(self.session_key), now=now, idle=idle, proven=self.proven, **contents)
        expires_at = columns.idle_until(now, seconds, more.get("ends_at"))
        return self._live(now).update(**contents, **more, expires_at=expires_at) == 1

    def _idle_seconds(self, data: dict[str, Any]) -> float:
        return min(settings.SESSION_IDLE_TIMEOUT, self.get_expiry_age(expiry=data.get("_session_expiry")))

    def _note_transaction(self) -> None:
        self._may_roll_back = self._may_roll_back or database.connection().in_atomic_block


_NO_BINDINGS = (
    "This session is bound to a certificate, and SessionStore(session_key) was not told which certificate the request "
    "proved. In code of your own, outside of a request, name the binding: SessionStore(session_key, row.binding). For "
    "Channels use securecore.http.channels.SessionMiddleware in place of AuthMiddlewareStack. In tests the same holds "
    "for client.session; clear client.cookies before client.force_login()."
)


def rows() -> SessionQuerySet:
    return Session.objects.using(settings.DATABASE)


def close(ending: SessionQuerySet) -> None:
    """End the one session in ``ending``, if it is there, with the audit row of the logout.

    The end of an anonymous session has no audit row: any client could fill the table.
    """
    with transaction.atomic(using=settings.DATABASE):
        row = ending.exclude(user=None).select_for_update().first()
        ending.end()
        if row is not None:
            of, certificate = f"user:{row.user_id}", row.certificate or None
            event = events.SessionClosed(user=of, certificate=certificate, address=row.address, device=row.device)
            audit.report(event)


def _drop_contents(data: dict[str, Any]) -> None:
    """Drop everything but Django's keys of the logged-in user."""
    for name in [name for name in data if not name.startswith("_auth_user_")]:
        del data[name]
