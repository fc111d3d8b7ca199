"""May this principal do this, now: a check that holds until the effect has committed.

``authorize`` enters the principal's gate, reads the grant in a second statement and runs the effect inside the same
transaction. ``revoke`` closes the same gate, so it waits for every effect whose check passed, and every check after it
reads the revocation. A revocation that returned is never outrun. What is changed elsewhere, in the admin, by
``QuerySet.update()`` or in SQL, closes the gate by a trigger.
"""

from securecore.grants.authorization import (
    Decision,
    Judge,
    LateGate,
    allowed,
    authorize,
    decide,
    decide_all,
    enter,
    judge,
    late_gate,
)
from securecore.grants.gate import take_gate
from securecore.grants.models import Gate, Grant
from securecore.grants.permission_names import require_permission
from securecore.grants.principals import principal_of
from securecore.grants.query.standing import Credential
from securecore.grants.registry import grant, note_change, revoke, revoke_all

__all__ = [
    "Credential",
    "Decision",
    "Gate",
    "Grant",
    "Judge",
    "LateGate",
    "allowed",
    "authorize",
    "decide",
    "decide_all",
    "enter",
    "grant",
    "judge",
    "late_gate",
    "note_change",
    "principal_of",
    "require_permission",
    "revoke",
    "revoke_all",
    "take_gate",
]
