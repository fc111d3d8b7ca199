"""The credentials of one request, and the one query that judges them.

One SELECT reads the certificate, the session and the token of a request: whether each is revoked, the users that they
name, and the grants of these users. So no row changes between two reads, and no cache has to be kept current.

``query`` composes that SELECT, ``snapshot`` holds its rows, ``user_table`` builds user objects from them, and
``presented`` has the ``PresentedCredentials`` of a request. ``credential_table`` chooses the one credential that makes
the request, of all that the request presents. ``caller`` has ``Caller``, the value of the result. ``conditions`` states
in SQL when a credential of the caller has ended.

Nothing here reads headers or cookies. ``http.authorization.credentials`` judges the credentials of a request, and
``http.authorization.caller`` builds its ``Caller``.
"""

from securecore.caller import credential_table
from securecore.caller.caller import Caller
from securecore.caller.leased_snapshots import why_not_leased
from securecore.caller.presented import PresentedCredentials, user_of_certificate, user_of_token
