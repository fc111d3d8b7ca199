"""The principals, users and thumbprints that the text in a search box names."""

from __future__ import annotations

import uuid
from typing import Any

from django.apps import apps
from django.utils import timezone

from securecore.conf import settings
from securecore.grants.principal_names import users_named
from securecore.grants.principals import DERIVED, OWN, principal_of
from securecore.grants.query.lockouts import EVERYONE, ISSUER
from securecore.models import Certificate
from securecore.thumbprints import thumbprint_in


def user_keys(text: str) -> list[Any]:
    """Return the primary keys of the users with this name or e-mail address."""
    return [user.pk for user in users_named(text)]


def principals_named(text: str) -> list[str]:
    """Return the principals that ``text`` names: a user, certificate, group, client, role, or a principal itself."""
    if text == EVERYONE or text.startswith((*OWN, *DERIVED, ISSUER)):
        return [text]
    named = [principal_of(user) for user in users_named(text)]
    if (thumbprint := thumbprint_in(text)) is not None:
        named.append(f"certificate:{thumbprint}")
    groups = apps.get_model("auth.Group").objects.using(settings.DATABASE).filter(name=text)
    named += [f"group:{key}" for key in groups.values_list("pk", flat=True)]
    return [*named, f"service:{text}", f"role:{text}", f"{ISSUER}{text}"]


def record_named(text: str) -> str:
    """Return the user or certificate that ``text`` names, with its state, as the subject of a sentence; or ""."""
    if (thumbprint := thumbprint_in(text)) is not None:
        rows = Certificate.objects.using(settings.DATABASE).select_related("user")
        if (row := rows.filter(pk=thumbprint).first()) is None:
            return "This thumbprint is of no certificate that securecore knows, and"
        owner = f" ({row.user.get_username()})" if row.user is not None else ""
        revoked = f", revoked {timezone.localtime(row.revoked_at):%Y-%m-%d %H:%M:%S}," if row.revoked_at else ""
        return f"The certificate {row.subject or row.pk}{owner}{revoked}"
    users = users_named(text)
    return f"The user {users[0].get_username()}" if users else ""


def uuid_in(text: str) -> uuid.UUID | None:
    """Return the UUID that ``text`` is, or None."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
