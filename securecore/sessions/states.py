"""The states of a session in one request.

``session.state`` is the state. It alone decides the rights of the request over its session.

    state           the presented id                                     contents   changes   cookie
    UNREAD          no statement has read it yet                         unknown    written   set
    ABSENT          no live session has it: never issued, expired, ended none       new id    set
    REFUSED         a live session has it, under another binding         none       new id    set
    CURRENT         a live session has it, or this request issued an id  all        written   set
    OUTDATED        as CURRENT; the user's privileges changed since      all        written   set, new id
    REPLACED        another request rotated it in the last ``GRACE``     all        dropped   not set
    BEFORE_LOGIN    as REPLACED, by a login: it may have been planted    none       dropped   not set
    ENDED           this request ended the session                       none       new id    deleted

The transitions, by the method of ``lifecycle`` or ``store`` that makes them:

    load()              UNREAD -> ABSENT, REFUSED, CURRENT, OUTDATED, REPLACED, BEFORE_LOGIN
    create(), begin()   any -> CURRENT, with an id that no request has presented
    rotate()            CURRENT, OUTDATED -> CURRENT, with a new id
    note_rotation()     any -> REPLACED, if another request rotated the id first
    delete(), end()     any -> ENDED
    settle()            CURRENT -> UNREAD, or ENDED if the request ended the session, after a rollback

The states belong to one request and are not stored. The columns of the row decide about them: ``expires_at``,
``binding``, ``predecessor``, ``rotated_at`` and ``epoch``.
"""

from __future__ import annotations

from enum import Enum, auto

from securecore.sessions.statements import SessionRow


class SessionState(Enum):
    """The state of a session in one request; see the table above."""

    UNREAD = auto()
    ABSENT = auto()
    REFUSED = auto()
    CURRENT = auto()
    OUTDATED = auto()
    REPLACED = auto()
    BEFORE_LOGIN = auto()
    ENDED = auto()

    @property
    def is_read_only(self) -> bool:
        """Whether changes are dropped, and the response sets no cookie that would overwrite the new id."""
        return self in (SessionState.REPLACED, SessionState.BEFORE_LOGIN)

    @classmethod
    def of_row(cls, row: SessionRow | None, proven: tuple[str, ...]) -> SessionState:
        """Return the state of a session with this row, in a request that proved these bindings."""
        if row is None:
            return cls.ABSENT
        if row.binding not in proven:
            return cls.REFUSED
        if row.predates_login:
            return cls.BEFORE_LOGIN
        if row.replaced:
            return cls.REPLACED
        return cls.OUTDATED if row.outdated else cls.CURRENT
