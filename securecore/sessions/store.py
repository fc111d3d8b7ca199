"""The session engine: Django's SessionBase over our table."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, F, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Least

from securecore import clock, digests, events
from securecore.conf import settings
from securecore.sessions.models import Session, SessionQuerySet

#: Writing "last seen" on every request would be the dearest statement of the request, for nothing.
_SEEN_EVERY = dt.timedelta(minutes=1)


class SessionStore(SessionBase):
    """One session. ``binding`` is what the request proved (``x5t#S256:<thumbprint>``), empty for nothing.

    Loads nothing that is unknown, expired, or bound to something else; the id presented is then never used again. Every
    change is one statement whose row count is believed, so a session that was ended meanwhile cannot be written back.
    """

    def __init__(self, session_key: str | None = None, binding: str = "") -> None:
        super().__init__(session_key)
        self.presented_key = session_key
        self._binding = binding
        self._restarts = False

    # What Django asks of an engine

    def load(self) -> dict[str, Any]:
        now = clock.now()
        row = self._live_row(now)
        if row is None:
            self._session_key = None
            return {}
        data = self.decode(row.data)
        if row.last_seen_at <= now - min(_SEEN_EVERY, dt.timedelta(seconds=settings.SESSION_IDLE_TIMEOUT) / 10):
            self._row_as_queryset(now).update(last_seen_at=now, expires_at=self._idle_until(now, data))
        return data

    def exists(self, session_key: str) -> bool:
        return _rows().live(clock.now()).filter(pk=_record_id(session_key)).exists()

    def create(self) -> None:
        while True:
            self._session_key = self._get_new_session_key()
            try:
                self.save(must_create=True)
            except CreateError:  # two equal ids of 256 bits
                continue
            self.modified = True
            return

    def save(self, must_create: bool = False) -> None:
        if self.session_key is None:
            return self.create()
        data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]
        now = clock.now()
        columns = {"data": self.encode(data), "user_id": _user_id(data), "last_seen_at": now}
        if must_create:
            self._insert(now, columns)
        elif not self._update(now, columns):
            raise UpdateError
        self._restarts = False
        return None

    def delete(self, session_key: str | None = None) -> None:
        # A key that the application names is ended. Our own came in a cookie: whoever stole it must not end it either.
        if session_key is not None:
            _rows().filter(pk=_record_id(session_key)).end()
        elif self.session_key is not None:
            _rows().filter(pk=_record_id(self.session_key), binding=self._binding).end()

    def cycle_key(self) -> None:
        """Give this session a new id. One UPDATE of the primary key, so the old id is dead when the new one lives.

        Raises ``SessionInterrupted`` (400) if somebody's session was ended meanwhile: rotation must not bring it back.
        """
        data = self._session  # type: ignore[attr-defined]
        if self.session_key is not None:
            new_key = self._get_new_session_key()
            if self._row_as_queryset(clock.now()).update(id=_record_id(new_key)):
                self._session_key = new_key
                self.modified = True
                return
            if SESSION_KEY in data:
                raise SessionInterrupted("The session was ended while its id was being changed.")
        self.create()
        self._session_cache = data

    async def acycle_key(self) -> None:
        # Django's own makes a new session and then deletes the old one, whether that was still there or not.
        await sync_to_async(self.cycle_key)()

    @classmethod
    def clear_expired(cls) -> None:
        _rows().filter(expires_at__lte=clock.now()).delete()

    # What we add

    def rotate_at_login(self) -> None:
        """Make sure that this login has an id that was never in a request, and restart the absolute timeout.

        Django's ``login()`` keeps the id when the same user logs in again (ASVS 5.0 v5.0.0-7.2.4 forbids it).
        """
        self._restarts = True
        self.modified = True
        if self.session_key is not None and self.session_key == self.presented_key:
            self.cycle_key()

    def _get_new_session_key(self) -> str:
        return digests.new_secret()

    def _live_row(self, now: dt.datetime) -> Session | None:
        if not self.session_key:
            return None
        row = _rows().live(now).filter(pk=_record_id(self.session_key)).first()
        if row is None or row.binding == self._binding:
            return row
        events.emit(
            events.SessionBindingMismatch(
                user=None if row.user_id is None else str(row.user_id), bound_to=row.binding, presented=self._binding
            )
        )
        return None

    def _row_as_queryset(self, now: dt.datetime) -> SessionQuerySet:
        return _rows().live(now).filter(pk=_record_id(str(self.session_key)), binding=self._binding)

    def _idle_until(self, now: dt.datetime, data: dict[str, Any]) -> Combinable:
        idle = min(settings.SESSION_IDLE_TIMEOUT, self.get_expiry_age(expiry=data.get("_session_expiry")))
        return Least(Value(now + dt.timedelta(seconds=idle), output_field=DateTimeField()), F("ends_at"))

    def _insert(self, now: dt.datetime, columns: dict[str, Any]) -> None:
        ends_at = _absolute_timeout(now)
        idle = min(settings.SESSION_IDLE_TIMEOUT, self.get_expiry_age())
        row = Session(
            id=_record_id(str(self.session_key)),
            binding=self._binding,
            created_at=now,
            ends_at=ends_at,
            expires_at=min(now + dt.timedelta(seconds=idle), ends_at),
            **columns,
        )
        try:
            with transaction.atomic(using=settings.DATABASE):
                row.save(using=settings.DATABASE, force_insert=True)
        except IntegrityError as error:
            raise CreateError from error

    def _update(self, now: dt.datetime, columns: dict[str, Any]) -> bool:
        row = self._row_as_queryset(now)
        if self._restarts:
            row.update(ends_at=_absolute_timeout(now))
        data = self._session  # type: ignore[attr-defined]
        return row.update(**columns, expires_at=self._idle_until(now, data)) == 1


def _absolute_timeout(now: dt.datetime) -> dt.datetime:
    return now + dt.timedelta(seconds=settings.SESSION_ABSOLUTE_TIMEOUT)


def _rows() -> SessionQuerySet:
    return Session.objects.using(settings.DATABASE)


def _record_id(session_key: str) -> UUID:
    return digests.record_id("session", session_key)


def _user_id(data: dict[str, Any]) -> Any:
    presented = data.get(SESSION_KEY)
    if presented is None:
        return None
    try:
        return get_user_model()._meta.pk.to_python(presented)
    except ValidationError as error:
        raise SuspiciousOperation("The session names a user that cannot exist.") from error
