"""The session engine: the methods of Django's ``SessionBase`` over ``securecore_session``. See also ``lifecycle``."""

from __future__ import annotations

import datetime as dt
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import IntegrityError, transaction

from securecore import clock, digests
from securecore.conf import settings
from securecore.sessions import columns
from securecore.sessions.lifecycle import SessionLifecycle, close, rows
from securecore.sessions.models import Session, record_id
from securecore.sessions.states import SessionState


class SessionStore(SessionLifecycle):
    """One session of one request.

    ``proven`` lists the bindings that the request proved, for example ``x5t#S256:<thumbprint>``; empty for none. A new
    session is bound to the first of them. A stored session loads only if its binding is one of them.

    For an id that is unknown, expired, or bound to another certificate nothing is loaded, and the presented id is never
    used for a new session. The row count of one statement decides each change, so a session that another request ended
    cannot be written back.
    """

    def load(self) -> dict[str, Any]:
        now = clock.now()
        row = self._read(now) if self.session_key else None
        if row is None:
            self._session_key = None
            return {}
        if self.state is SessionState.BEFORE_LOGIN:
            return {}
        data = self.decode(row.data)
        if row.long_unseen and not self.state.is_read_only:
            self._live(now).update(last_seen_at=now, expires_at=columns.idle_until(now, self._idle_seconds(data)))
        return data

    def exists(self, session_key: str | None) -> bool:
        return bool(session_key) and rows().live(clock.now()).named(str(session_key)).exists()

    def create(self) -> None:
        self.state = SessionState.CURRENT
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
        elif not self.state.is_read_only and not self._is_written(data) and not self._update(now, data):
            raise UpdateError

    def delete(self, session_key: str | None = None) -> None:
        # An explicit key comes from the application, so its session ends. The own key comes from a cookie, so the
        # session ends only under its binding: a thief of the cookie must not be able to log the owner out.
        if session_key is not None:
            close(rows().named(session_key))
        elif self.session_key is not None and not self.state.is_read_only:
            close(self._named())
            self._note_transaction()
            self._ended_key, self.state = self.session_key, SessionState.ENDED

    def cycle_key(self) -> None:
        """Give this session a new id by one UPDATE of the primary key, so the old id dies when the new id is born.

        Raises ``SessionInterrupted`` (400) if the session of a user has ended: a rotation must not bring the session
        back.
        """
        data = self._session  # type: ignore[attr-defined]
        if self.session_key is not None and not self.state.is_read_only and self._move():
            return
        if SESSION_KEY in data and (self.state.is_read_only or not self.was_replaced()):
            raise SessionInterrupted("The session was ended while its id was being changed.")
        self.create()

    async def acycle_key(self) -> None:
        # Django's acycle_key() creates a new session even if another request has ended the old one.
        await sync_to_async(self.cycle_key)()

    @classmethod
    def clear_expired(cls) -> None:
        rows().filter(expires_at__lte=clock.now()).delete()

    def get_session_cookie_age(self) -> int:
        """Return the age of the cookie in seconds: a cookie beyond the absolute timeout would open nothing."""
        return min(super().get_session_cookie_age(), round(settings.SESSION_ABSOLUTE_TIMEOUT))

    def _get_new_session_key(self) -> str:
        return digests.new_secret()

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

    def _is_written(self, data: dict[str, Any]) -> bool:
        # True once, after ``begin``: ``begin`` wrote these contents. Another login may have ended this session since,
        # so a second write would raise UpdateError.
        contents, self._login_contents = self._login_contents, None
        return contents is not None and contents == self.serializer().dumps(data)
