"""Grants: the permissions of principals, and checks that hold until the effect has committed.

``authorize`` enters the principal's gate, reads the grant in a second statement and runs the effect in the same
transaction. ``revoke`` closes the same gate. So ``revoke`` waits for each effect after a passed check, and each later
check reads the revocation: once a revocation has returned, no effect of the revoked grant commits. A change outside
securecore, in the admin, by ``QuerySet.update()`` or in SQL, closes the gate by a trigger.

The package knows neither requests nor tokens. A check takes the end of each credential as an SQL
condition (``BoundCondition``).
"""

from securecore.grants import lockouts, principals
from securecore.grants.authorization import (
    Decision,
    Judge,
    allowed,
    authorize,
    decide,
    decide_all,
    enter,
    judge,
)
from securecore.grants.gate import take_gate
from securecore.grants.late import LateGate, late_gate
from securecore.grants.models import Gate, Grant
from securecore.grants.permission_names import require_permission
from securecore.grants.principals import principal_of
from securecore.grants.query.caller_state import BoundCondition
from securecore.grants.registry import grant, note_change, replace, revoke, revoke_all

__all__ = ["Grant", "decide", "grant", "lockouts", "note_change", "principal_of", "principals", "replace", "revoke"]
