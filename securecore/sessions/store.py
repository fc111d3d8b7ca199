"""The session engine: Django's SessionBase over our table."""

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
    """One session. ``proven`` is what the request proved about its sender (``x5t#S256:<thumbprint>``), empty for
    nothing; a new session is bound to the first of it, and opens for a request that proved what it is bound to.

    Loads nothing that is unknown, expired, or bound to something else; the id presented is then never used again. Every
    change is one statement whose row count is believed, so a session that was ended meanwhile cannot be written back.
    """

    def __init__(self, session_key: str | None = None, *proven: str) -> None:
        super().__init__(session_key)
        self.presented_key = session_key
        self.proven = proven or ("",)
        #: Columns that say where a new session was opened: certificate, address, device.
        self.opened_from: dict[str, str] = {}
        #: The id is that of a live session which is bound to something else.
        self.is_refused = False
        #: The id was replaced while this request was on its way: it may look, and what it writes is dropped.
        self.is_read_only = False
        #: The user's privileges changed since the id was issued.
        self.is_outdated = False
        self._was_user = False
        self._stored: bytes | None = None
        self._in_transaction = False
        self._ended_key: str | None = None
        #: The session that the request has read already, or found missing; nothing if it has not asked. See ``access``.
        self.already_read: Callable[[], tuple[Found | None, ...]] = tuple

    # What Django asks of an engine

    def load(self) -> dict[str, Any]:
        now = clock.now()
        found = self._find(now) if self.session_key else None
        if found is None:
            self._session_key = None
            return {}
        self.is_read_only = found.replaced
        if found.is_closed:
            return {}
        self.is_outdated = found.outdated and not found.replaced
        data = self.decode(found.data)
        self._was_user = SESSION_KEY in data
        if found.long_unseen and not found.replaced:
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
        # A key that the application names is ended. Our own came in a cookie: whoever stole it must not end it either.
        if session_key is not None:
            _rows().named(session_key).end()
        elif self.session_key is not None and not self.is_read_only:
            self._named().end()
            self._note_transaction()
            self._ended_key = self.session_key

    def cycle_key(self) -> None:
        """Give this session a new id. One UPDATE of the primary key, so the old id is dead when the new one lives.

        Raises ``SessionInterrupted`` (400) if somebody's session was ended meanwhile: rotation must not bring it back.
        """
        data = self._session  # type: ignore[attr-defined]
        if self.session_key is not None and not self.is_read_only and self._move():
            return
        if SESSION_KEY in data and (self.is_read_only or not self.was_replaced()):
            raise SessionInterrupted("The session was ended while its id was being changed.")
        self.create()

    async def acycle_key(self) -> None:
        # Django's own makes a new session and then deletes the old one, whether that was still there or not.
        await sync_to_async(self.cycle_key)()

    @classmethod
    def clear_expired(cls) -> None:
        _rows().filter(expires_at__lte=clock.now()).delete()

    # What we add

    def rotate(self) -> None:
        """Change the id, unless another request of the same browser just did: then this one goes on read-only."""
        self._get_session()  # type: ignore[attr-defined]
        if self.session_key is None or self.is_read_only or self._move():
            return
        self.is_read_only = self.was_replaced()
        self.is_outdated = False

    def begin(self) -> None:
        """Note that the session's user has just proved to be there: at login, or stepping up.

        The id is one that was never in a request: Django's ``login()`` keeps it when the same user logs in again (ASVS
        5.0 v5.0.0-7.2.4 forbids it). What an anonymous session held is dropped but for
        ``SESSION_KEYS_KEPT_AT_LOGIN``. Both timeouts start again. Stored at once.
        """
        data = self._get_session()  # type: ignore[attr-defined]
        if not self._was_user:
            _keep(data, settings.SESSION_KEYS_KEPT_AT_LOGIN)
        if self.is_read_only or self.session_key is None:
            self.create()
        elif self.session_key == self.presented_key and not self._move():
            _keep(data, ())  # ended meanwhile: the login is good, what was in the session is gone
            self.create()
        now = clock.now()
        if not self._update(now, data, **columns.at_login(now, data), **self.opened_from):
            raise SessionInterrupted("The session was ended while its user logged in.")
        self._was_user, self.modified, self._stored = True, True, self.serializer().dumps(data)

    def end(self) -> None:
        """End the session, also for a request that came with the id before this one."""
        self._get_session()  # type: ignore[attr-defined]
        if self.is_read_only and self.presented_key is not None:
            _rows().replaced(self.presented_key, clock.now()).filter(binding__in=self.proven).end()
            self._session_key = None
        self.is_read_only = False

    def abandon(self) -> None:
        """Forget what this request made of the session."""
        self.__dict__.pop("_session_cache", None)

    def settle(self) -> None:
        """After the view: what it ended stays ended, and what was rolled back with it never happened."""
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
        """Say whether the id is that of a live session which is bound to something else."""
        self._get_session()  # type: ignore[attr-defined]
        return self.is_refused

    def was_replaced(self) -> bool:
        """Say whether the id that this request came with was changed by another one just now."""
        presented = self.session_key or self.presented_key
        if presented is None:
            return False
        return _rows().replaced(presented, clock.now()).filter(binding__in=self.proven).exists()

    def is_authenticated_since(self, instant: dt.datetime) -> bool:
        """Say whether the session's user proved to be there after ``instant``, as the database has it now."""
        self._get_session()  # type: ignore[attr-defined]
        # A replaced id names no row, so it is never recent.
        return self._own(clock.now()).filter(authenticated_at__gt=instant, user__isnull=False).exists()

    def _get_new_session_key(self) -> str:
        return digests.new_secret()

    def _find(self, now: dt.datetime) -> Found | None:
        read, self.already_read = self.already_read, tuple
        key = str(self.session_key)
        known = read() if key == self.presented_key else ()
        found = (known[0] if known else find(key, now=now)) or find_replaced(key, now=now)
        if found is None or found.binding in self.proven:
            return found
        self.is_refused = True
        ends = settings.SESSION_MISMATCH == "end" and not found.replaced
        if ends:
            _rows().named(key).end()
        user = None if found.user_id is None else str(found.user_id)
        shown = " ".join(self.proven)
        events.emit(events.SessionBindingMismatch(user=user, bound_to=found.binding, presented=shown, ended=ends))
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
        # Once after a login: it has written everything, and may have been evicted by the next one since.
        stored, self._stored = self._stored, None
        return stored is not None and stored == self.serializer().dumps(data)

    def _note_transaction(self) -> None:
        self._in_transaction = self._in_transaction or database.connection().in_atomic_block


def _rows() -> SessionQuerySet:
    return Session.objects.using(settings.DATABASE)


def _keep(data: dict[str, Any], names: tuple[str, ...]) -> None:
    """Drop what a session held but for ``names`` and who is logged in to it."""
    if "*" not in names:
        for name in [name for name in data if name not in names and not name.startswith("_auth_user_")]:
            del data[name]
