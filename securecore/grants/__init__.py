"""May this principal do this, now: a check that holds until the effect has committed.

``authorize`` takes the principal's gate, reads the grant in a second statement and runs the effect inside the same
transaction. ``revoke`` takes the same gate, so it waits for every effect whose check passed, and every check after it
reads the revocation. A revocation that returned is never outrun.
"""

from securecore.grants.authorization import authorize
from securecore.grants.gate import take_gate
from securecore.grants.models import Gate, Grant
from securecore.grants.registry import grant, note_change, principal_of, revoke

__all__ = ["Gate", "Grant", "authorize", "grant", "note_change", "principal_of", "revoke", "take_gate"]
