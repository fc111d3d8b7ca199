"""Users with an enrolled certificate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model

from securecore import clock
from securecore.arguments import require_user
from securecore.grants import grant, principal_of
from securecore.identity import enroll, parse_pem
from securecore.testing.authority import Issued, require_issued


def enrolled_user(user: Any, issued: Issued, *, permissions: Iterable[str] = (), **fields: Any) -> Any:
    """Return the user of ``issued``, which is enrolled, with these permissions.

    ``user`` is a saved user or a user name. A user of a new name is created by ``create_user()`` of the user model's
    manager, with ``fields``. A second call adds nothing that is there already. Raises ``Misuse`` for a certificate that
    no ``Authority`` issued.
    """
    require_issued(issued)
    now = clock.now()
    if isinstance(user, str):
        user = _user_named(user, fields)
    require_user(user)
    enroll(certificate=parse_pem(issued.pem), user=user, now=now)
    for permission in permissions:
        grant(principal=principal_of(user), permission=permission, now=now)
    return user


def _user_named(name: str, fields: dict[str, Any]) -> Any:
    model = get_user_model()
    manager: Any = model._default_manager
    try:
        return manager.get_by_natural_key(name)
    except model.DoesNotExist:
        return manager.create_user(**{model.USERNAME_FIELD: name, **fields})
