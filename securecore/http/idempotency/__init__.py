"""Idempotency keys for views: ``@idempotent`` on a function, a handler or a class, or the middleware for all views.

``policy`` holds the settings of one view. ``claim_place`` finds the place in a view where the key is claimed.
``execution`` runs the handler of a ``keyed_request``. ``recorded_checks`` records the permission checks of the handler,
and ``repeated_checks`` repeats them before a replay. The table of keys and responses is in ``securecore.idempotency``.

The key is claimed inside every check: authentication, permissions, throttles and decorators. So each check before the
handler also runs before a replay.
"""

from securecore.http.idempotency.decorators import idempotency_exempt, idempotent
from securecore.http.idempotency.policy import Policy

__all__ = ["Policy"]
