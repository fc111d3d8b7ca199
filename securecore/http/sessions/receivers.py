"""Signal receivers: follow logins, logouts and changes of users and roles that Django or other code makes."""

from __future__ import annotations

import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.signals import got_request_exception, request_started
from django.db.models.signals import m2m_changed, post_save, pre_save

from securecore import events, leases
from securecore.conf import settings
from securecore.errors import Refused
from securecore.grants import note_change
from securecore.http.edge.admission import set_aside_strange_charset
from securecore.http.problems import DATABASE_AWAY
from securecore.http.request import state_of
from securecore.http.sessions import login
from securecore.sessions import Session, SessionStore

#: The user's fields that change its privileges.
_PRIVILEGES = ("is_staff", "is_superuser", "is_active")


def begin_session(*, request: Any, user: Any, **_: Any) -> None:
    """Store the session after Django's ``login()``: a new id also for the same user, the limit, the binding."""
    if isinstance(getattr(request, "session", None), SessionStore):
        login.begin(request, user)


def end_session(*, request: Any, **_: Any) -> None:
    """End the session at logout, also if another request has just rotated its id."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.end()


def note_database_away(*, request: Any = None, **_: Any) -> None:
    """Keep the exception of another middleware for ``ClientCertificateMiddleware``.

    Django turns the exception into a 500 before ``ClientCertificateMiddleware`` sees it. For example a middleware that
    reads ``request.user`` raises ``InvalidToken`` for a bad access token.
    """
    error = sys.exc_info()[1]
    if request is not None and isinstance(error, DATABASE_AWAY):
        state_of(request).database_away = error
    if request is not None and isinstance(error, Refused):
        state_of(request).refusal = error


def remember_privileges(*, sender: Any, instance: Any, update_fields: Any = None, raw: bool = False, **_: Any) -> None:
    """Read a user's privileges from the database before the user is saved; skip a login, which saves ``last_login``."""
    concerned = update_fields is None or set(update_fields) & set(_PRIVILEGES)
    if instance.pk is None or raw or not concerned or not issubclass(sender, get_user_model()):
        return
    names = [name for name in _PRIVILEGES if _is_column(instance, name)]
    instance._privileges_before = type(instance)._default_manager.filter(pk=instance.pk).values(*names).first()


def follow_privileges(*, instance: Any, created: bool = False, **_: Any) -> None:
    """Have the session ids of a saved user rotated if its privileges changed; end its sessions if it is deactivated."""
    before = instance.__dict__.pop("_privileges_before", None)
    if created or before is None or before == {name: getattr(instance, name) for name in before}:
        return
    note_change(f"user:{instance.pk}")
    leases.outlast()
    if before.get("is_active") and not instance.is_active:
        ended = Session.objects.using(settings.DATABASE).for_user(instance.pk).end()
        events.emit(events.SessionsEnded(count=ended, reason=f"user:{instance.pk} is no longer active"))


def follow_roles(*, instance: Any, action: str, reverse: bool, pk_set: Any, model: Any, **_: Any) -> None:
    """Have the session ids of users rotated after a change of their groups, permissions or groups' permissions."""
    if action not in ("post_add", "post_remove", "pre_clear"):
        return
    if isinstance(instance, get_user_model()):
        users = {instance.pk}
    elif issubclass(model, get_user_model()):
        users = set(instance.user_set.values_list("pk", flat=True) if pk_set is None else pk_set)
    else:
        groups = [instance.pk] if isinstance(instance, Group) else list(pk_set or instance.group_set.values_list("pk"))
        users = set(get_user_model()._default_manager.filter(groups__in=groups).values_list("pk", flat=True))
    note_change(*(f"user:{pk}" for pk in users))
    leases.outlast()


def connect() -> None:
    user_logged_in.connect(begin_session, dispatch_uid="securecore.begin_session")
    user_logged_out.connect(end_session, dispatch_uid="securecore.end_session")
    request_started.connect(set_aside_strange_charset, dispatch_uid="securecore.set_aside_strange_charset")
    got_request_exception.connect(note_database_away, dispatch_uid="securecore.note_database_away")
    pre_save.connect(remember_privileges, dispatch_uid="securecore.remember_privileges")
    post_save.connect(follow_privileges, dispatch_uid="securecore.follow_privileges")
    user: Any = get_user_model()
    for owner, name in ((user, "groups"), (user, "user_permissions"), (Group, "permissions")):
        field = getattr(owner, name, None)
        if field is not None:
            m2m_changed.connect(follow_roles, sender=field.through, dispatch_uid=f"securecore.{name}")


def _is_column(user: Any, name: str) -> bool:
    return any(field.name == name for field in user._meta.concrete_fields)
