"""The session engine: Django's SessionBase over ``securecore_session``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import IntegrityError, transaction

from securecore import clock, database, digests, events
from securecore.conf import settings
from securecore.sessions import columns
from securecore.sessions.models import Session, SessionQuerySet, record_id
from securecore.sessions.signatures import SignedSession
from securecore.sessions.statements import Found, find, find_replaced, write


class SessionStore(SignedSession):
    """One session of one request.

    ``proven`` lists the bindings that the request proved, for example ``x5t#S256:<thumbprint>``; empty for none. A new
    session is bound to the first of them. A stored session loads only if its binding is one of them.

    For an id that is unknown, expired, or bound to another certificate nothing is loaded, and the presented id is never
    used for a new session. The row count of one statement decides each change, so a session that another request ended
    cannot be written back.
    """

    def __init__(self, session_key: str | None = None, *proven: str) -> None:
        super().__init__(session_key)
        self.presented_key = session_key
        self.proven = proven or ("",)
        #: Columns for the place where a new session is opened: certificate, address, device.
        self.opened_from: dict[str, str] = {}
        #: The presented id belongs to a live session with another binding.
        self.is_refused = False
        #: The id was rotated while this request was in flight: the request may read, and its changes are dropped.
        self.is_read_only = False
        #: The user's privileges changed after the id was issued.
        self.is_outdated = False
        self._was_user = False
        self._stored: bytes | None = None
        self._in_transaction = False
        self._ended_key: str | None = None
        #: Returns the session's row as the one query read it: a tuple of the row or None; an empty tuple if the query
        #: did not run. See ``securecore.caller``.
        self.already_read: Callable[[], tuple[Found | None, ...]] = tuple

    # The methods of Django's engine interface

    def load(self) -> dict[str, Any]:
        now = clock.now()
        row = self._find(now) if self.session_key else None
        if row is None:
            self._session_key = None
            return {}
        self.is_read_only = row.replaced
        if row.is_closed:
            return {}
        self.is_outdated = row.outdated and not row.replaced
        data = self.decode(row.data)
        self._was_user = SESSION_KEY in data
        if row.long_unseen and not row.replaced:
            self._own(now).update(last_seen_at=now, expires_at=columns.idle_until(now, self._idle_seconds(data)))
        return data

    def exists(self, session_key: str | None) -> bool:
        return bool(session_key) and _rows().live(clock.now()).named(str(session_key)).exists()

    def create(self) -> None:
        self.is_read_only = self.is_outdated = False
        while True:
            self._session_key = self._get_new_session_key()
            try:
                self.save(must_create=True)
            except CreateError:  # two equal ids of 256 bits
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]
        now = clock.now()
        if self.session_key is None:
            self.create()
        elif must_create:
            self._insert(now, data)
        elif not self.is_read_only and not self._is_stored(data) and not self._update(now, data):
            raise UpdateError

    def delete(self, session_key: str | None = None) -> None:
        # An explicit key comes from the application, so its session ends. The own key comes from a cookie, so the
        # session ends only under its binding: a thief of the cookie must not be able to log the owner out.
        if session_key is not None:
            _rows().named(session_key).end()
        elif self.session_key is not None and not self.is_read_only:
            self._named().end()
            self._note_transaction()
            self._ended_key = self.session_key

    def cycle_key(self) -> None:
        """Give this session a new id by one UPDATE of the primary key, so the old id dies when the new id is born.

        Raises ``SessionInterrupted`` (400) if the session of a user has ended: a rotation must not bring the session
        back.
        """
        data = self._session  # type: ignore[attr-defined]
        if self.session_key is not None and not self.is_read_only and self._move():
            return
        if SESSION_KEY in data and (self.is_read_only or not self.was_replaced()):
            raise SessionInterrupted("The session was ended while its id was being changed.")
        self.create()

    async def acycle_key(self) -> None:
        # Django's acycle_key() creates a new session even if another request has ended the old one.
        await sync_to_async(self.cycle_key)()

    @classmethod
    def clear_expired(cls) -> None:
        _rows().filter(expires_at__lte=clock.now()).delete()

    # The methods that securecore adds

    def rotate(self) -> None:
        """Change the id. If another request of the same browser has just changed it, this request becomes read-only."""
        self._get_session()  # type: ignore[attr-defined]
        if self.session_key is None or self.is_read_only or self._move():
            return
        self.is_read_only = self.was_replaced()
        self.is_outdated = False

    def begin(self) -> None:
        """Record a login or step-up of the session's user, and store it at once.

        The session gets an id that no request has presented. Django's ``login()`` keeps the id when the same user logs
        in again, which ASVS 5.0 v5.0.0-7.2.4 forbids. An anonymous session keeps its contents, as in
        Django. Both timeouts start again.
        """
        data = self._get_session()  # type: ignore[attr-defined]
        if self.is_read_only or self.session_key is None:
            self.create()
        elif self.session_key == self.presented_key and not self._move():
            _drop_contents(data)  # another request ended the session: the login is good, the old contents are gone
            self.create()
        now = clock.now()
        if not self._update(now, data, **columns.at_login(now, data), **self.opened_from):
            raise SessionInterrupted("The session was ended while its user logged in.")
        self._was_user, self.modified, self._stored = True, True, self.serializer().dumps(data)

    def end(self) -> None:
        """End the session, also if this request presented the id before the last rotation."""
        self._get_session()  # type: ignore[attr-defined]
        if self.is_read_only and self.presented_key is not None:
            _rows().replaced(self.presented_key, clock.now()).filter(binding__in=self.proven).end()
            self._session_key = None
        self.is_read_only = False

    def abandon(self) -> None:
        """Drop this request's changes to the session."""
        self.__dict__.pop("_session_cache", None)

    def settle(self) -> None:
        """Adjust the session to a rollback of the view's transaction.

        A session that the view ended is ended again, also after a rollback. If the view's rotation or new session was
        rolled back, the session has the presented id again, or no id if the view had ended the session.
        """
        if not self._in_transaction:
            return
        self._in_transaction = False
        if self._ended_key is not None:
            _rows().named(self._ended_key).filter(binding__in=self.proven).end()
        if self.session_key not in (None, self.presented_key, self._ended_key) and not self.exists(self.session_key):
            self._session_key = None if self._ended_key else self.presented_key
            self.modified = False
            self.abandon()

    def is_somebody_else_s(self) -> bool:
        """Say whether the presented id belongs to a live session with another binding."""
        self._get_session()  # type: ignore[attr-defined]
        return self.is_refused

    def was_replaced(self) -> bool:
        """Say whether another request rotated this request's session id within the last ``GRACE``."""
        presented = self.session_key or self.presented_key
        if presented is None:
            return False
        return _rows().replaced(presented, clock.now()).filter(binding__in=self.proven).exists()

    def is_authenticated_since(self, instant: dt.datetime) -> bool:
        """Say whether the session's row has a login or step-up after ``instant``. Reads the database."""
        self._get_session()  # type: ignore[attr-defined]
        # A replaced id names no row, so it is never recent.
        return self._own(clock.now()).filter(authenticated_at__gt=instant, user__isnull=False).exists()

    def _get_new_session_key(self) -> str:
        return digests.new_secret()

    def _find(self, now: dt.datetime) -> Found | None:
        read, self.already_read = self.already_read, tuple
        key = str(self.session_key)
        known = read() if key == self.presented_key else ()
        row = (known[0] if known else find(key, now=now)) or find_replaced(key, now=now)
        if row is None or row.binding in self.proven:
            return row
        self.is_refused = True
        # The session stays live: otherwise a thief with the cookie could log the owner out.
        user = None if row.user_id is None else str(row.user_id)
        presented = " ".join(self.proven)
        events.emit(events.SessionBindingMismatch(user=user, bound_to=row.binding, presented=presented))
        return None

    def _named(self) -> SessionQuerySet:
        return _rows().named(str(self.session_key)).filter(binding__in=self.proven)

    def _own(self, now: dt.datetime) -> SessionQuerySet:
        return self._named().live(now)

    def _move(self) -> bool:
        now = clock.now()
        new_key = self._get_new_session_key()
        moved = columns.at_rotation(now, old=record_id(str(self.session_key)), new=record_id(new_key))
        if not self._own(now).update(**moved):
            return False
        self._note_transaction()
        self._session_key = new_key
        self.modified, self.is_outdated = True, False
        return True

    def _insert(self, now: dt.datetime, data: dict[str, Any]) -> None:
        ends_at = columns.absolute_timeout(now)
        row = Session(
            id=record_id(str(self.session_key)),
            binding=self.proven[0],
            created_at=now,
            ends_at=ends_at,
            expires_at=min(now + dt.timedelta(seconds=self._idle_seconds(data)), ends_at),
            **columns.contents(now, data, self.encode(data)),
            **self.opened_from,
        )
        self._note_transaction()
        try:
            with transaction.atomic(using=settings.DATABASE):
                row.save(using=settings.DATABASE, force_insert=True)
        except IntegrityError as error:
            raise CreateError from error

    def _update(self, now: dt.datetime, data: dict[str, Any], **more: Any) -> bool:
        contents, seconds = columns.contents(now, data, self.encode(data)), self._idle_seconds(data)
        if not more:
            idle = now + dt.timedelta(seconds=seconds)
            return write(str(self.session_key), now=now, idle=idle, proven=self.proven, **contents)
        expires_at = columns.idle_until(now, seconds, more.get("ends_at"))
        return self._own(now).update(**contents, **more, expires_at=expires_at) == 1

    def _idle_seconds(self, data: dict[str, Any]) -> float:
        return min(settings.SESSION_IDLE_TIMEOUT, self.get_expiry_age(expiry=data.get("_session_expiry")))

    def _is_stored(self, data: dict[str, Any]) -> bool:
        # True once, after ``begin``: ``begin`` wrote these contents. Another login may have ended this session since,
        # so a second write would raise UpdateError.
        stored, self._stored = self._stored, None
        return stored is not None and stored == self.serializer().dumps(data)

    def _note_transaction(self) -> None:
        self._in_transaction = self._in_transaction or database.connection().in_atomic_block


def _rows() -> SessionQuerySet:
    return Session.objects.using(settings.DATABASE)


def _drop_contents(data: dict[str, Any]) -> None:
    """Drop everything but Django's keys of the logged-in user."""
    for name in [name for name in data if not name.startswith("_auth_user_")]:
        del data[name]
