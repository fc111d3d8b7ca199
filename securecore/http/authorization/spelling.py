"""Names that an operator may have misspelt: the known names near to a name, as a sentence."""

from __future__ import annotations

from django.apps import apps
from django.contrib.auth.models import Permission
from django.db.models import Q

from securecore.conf import settings
from securecore.http.authorization.named_permissions import named_permissions
from securecore.models import Client, Grant
from securecore.texts import near

#: Names. More are not compared: a comparison of 10,000 names takes 0.1 s.
_MOST = 10_000
_ROLE = "role:"


def doubt_about_permission(permission: str) -> str:
    """Return the sentence about a permission that no view names and no live grant has; "" for a known one.

    A new role is unknown until its first grant, so a role is doubted only beside one of nearly the same name.
    """
    live = Grant.objects.using(settings.DATABASE).not_revoked()
    if live.filter(Q(permission=permission) | Q(principal=permission)).exists():
        return ""
    granted = {*live.values_list("permission", flat=True).distinct()[:_MOST]}
    if permission.startswith(_ROLE):
        roles = live.filter(principal__startswith=_ROLE).values_list("principal", flat=True).distinct()[:_MOST]
        found = near(permission, {*granted, *roles})
        return f"No grant names {permission}.{found}" if found else ""
    named = named_permissions()
    if permission in named or _is_of_django(permission):
        return ""
    return f"No view names the permission {permission}, and nobody has it.{near(permission, named | granted)}"


def doubt_about_client(client: str | None) -> str:
    """Return the sentence about a client that is not registered; "" for a registered one."""
    registered = Client.objects.using(settings.DATABASE)
    if not client or registered.filter(pk=client).exists():
        return ""
    found = near(client, registered.values_list("pk", flat=True)[:_MOST])
    return f"No client of this name is registered here: compare it with securecore_clients list.{found}"


def _is_of_django(permission: str) -> bool:
    label, _, codename = permission.partition(".")
    named = Permission.objects.using(settings.DATABASE).filter(content_type__app_label=label, codename=codename)
    return apps.is_installed("django.contrib.auth") and named.exists()
