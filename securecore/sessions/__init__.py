"""Sessions that are issued, bound, rotated and ended by us: ``SESSION_ENGINE = "securecore.sessions"``.

An id is 256 random bits of which only a digest is stored; an id that we did not issue is never adopted. A session
belongs to the certificate (or its key) it was opened under, and ends when it was idle too long or is too old, by the
database's own rows. The id changes at every login, also of the same user, at logout, and when the user's privileges
change; a request that was in flight with the old id may still look for ten seconds.

Use ``securecore.http.middleware.SessionMiddleware`` in place of Django's: it is Django's, and tells the engine which
certificate the request came with.
"""

from securecore.sessions.limits import make_room
from securecore.sessions.models import Session, SessionQuerySet, record_id
from securecore.sessions.store import SessionStore

__all__ = ["Session", "SessionQuerySet", "SessionStore", "make_room", "record_id"]
