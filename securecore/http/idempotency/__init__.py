"""One effect a key, for views: ``@idempotent`` on a function, a handler or a class, or the middleware for all of them.

``policy`` says what a view wants, ``execution`` runs a handler under a key, ``views`` finds the handler in what Django
and REST framework call a view. Wherever the word stands, the key is claimed after authentication, permissions and
throttles: whatever guards the handler guards its replays.
"""

from securecore.http.idempotency.decorators import idempotency_exempt, idempotent
from securecore.http.idempotency.policy import Policy

__all__ = ["Policy", "idempotency_exempt", "idempotent"]
