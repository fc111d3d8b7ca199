"""Idempotency keys for views: ``@idempotent`` on a function, a handler or a class, or the middleware for all views.

``policy`` holds the settings of one view. ``execution`` runs a handler under a key. ``views`` finds the handler inside
a view of Django or REST framework. ``asked`` records the permission checks of a handler for its replays. The table of
keys and responses is in ``securecore.idempotency``.

The key is claimed after authentication, permissions and throttles, wherever the decorator stands. So each check before
the handler also runs before a replay.
"""

from securecore.http.idempotency.decorators import idempotency_exempt, idempotent
from securecore.http.idempotency.policy import Policy

__all__ = ["Policy"]
