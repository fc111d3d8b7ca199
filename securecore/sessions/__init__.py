"""The session engine: ``SESSION_ENGINE = "securecore.sessions"`` issues, binds, rotates and ends sessions.

A session id is 256 random bits, and the table stores its digest only. The engine never adopts an id that it did not
issue. A session is bound to the certificate (or the certificate's key) under which it was opened. The session row holds
an idle timeout and an absolute timeout. The id changes at each login, also of the same user, at logout, and when the
user's privileges change. For ten seconds after that, a request with the old id may read the session.

Use ``securecore.http.middleware.SessionMiddleware`` in place of Django's middleware. The subclass passes the request's
certificate to the engine. Cookies and middleware are not here: ``securecore.http`` has them.
"""

from securecore.sessions.endings import end_reported
from securecore.sessions.limits import make_room
from securecore.sessions.models import Session, SessionQuerySet, record_id
from securecore.sessions.states import SessionState
from securecore.sessions.store import SessionStore
