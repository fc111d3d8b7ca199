"""Check and effect as one atomic step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from securecore import db
from securecore.conf import settings
from securecore.errors import PermissionDenied
from securecore.grants.gate import take_gate
from securecore.grants.models import Grant


@contextmanager
def authorize(*, principal: str, permission: str) -> Iterator[Grant]:
    """Run the block only if ``principal`` holds ``permission`` at the instant the block commits.

    ::

        with authorize(principal=principal_of(user), permission="transfers.create"):
            Transfer.objects.create(...)

    Opens the outermost transaction or joins it; the gate is held until it ends. Raises ``PermissionDenied`` (403),
    ``Busy`` (503) when the gate was held too long, and ``Misuse`` inside a savepoint. Keep calls to other systems out
    of the block: it holds up this principal's other requests and its revocation.
    """
    with db.outermost_transaction("authorize()"):
        take_gate(principal)
        # A fresh statement after the wait. user.has_perm() would answer from a cache filled before it.
        held = Grant.objects.using(settings.DATABASE).live().of(principal, permission).first()
        if held is None:
            raise PermissionDenied
        yield held
