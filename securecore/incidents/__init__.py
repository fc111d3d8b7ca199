"""The first steps of an incident, in the right order, and the trail that the stolen credential left.

``stolen`` ends a stolen certificate or token, ``bare_jti`` a token of which only the ``jti`` is known. ``restored``
makes a database safe that was restored from a backup. ``trail`` reads the rows about a credential, before its end
deletes some of them.
"""

from securecore.incidents.bare_jti import doubt_about_jti, revoke_jti
from securecore.incidents.restored import Restored, after_restore, newest_audit_row, reapply
from securecore.incidents.stolen import (
    Ended,
    stolen_certificate,
    stolen_token,
    trail_of_certificate,
    trail_of_token,
)
from securecore.incidents.trail import Fact
