"""Signal receivers for the work that the triggers of the database cannot do.

The triggers (``securecore.grants.triggers``) follow each change of a user, a group and a permission, by ``save()``,
``QuerySet.update()`` and SQL alike. They close the gate, count the epochs and end sessions and tokens. No receiver here
repeats that work. A receiver exists for the following reasons only:

    change or event                      the trigger            the receiver here, and the reason for it
    login, logout                        none                   stores and ends the session: it needs the request
    user saved as inactive               ends the sessions      emits ``SessionsEnded``: SQL sends no event
    user saved, groups or permissions    closes gate, counts    waits for the leases: after the commit, not in it
    user or group deleted                closes gate, ends all  none
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_save, pre_save
from django.http import HttpRequest

from securecore import audit, events, leases
from securecore.conf import settings
from securecore.http.request import User
from securecore.http.sessions import login
from securecore.sessions import Session, SessionQuerySet, SessionStore

#: The fields that ``save()`` writes; None for all.
Fields = Collection[str] | None

#: The attribute of a user that carries the number of its sessions from ``pre_save`` to ``post_save``.
_ENDING = "_securecore_ending_sessions"
#: The user's fields that change its privileges, or end the login of its sessions.
_PRIVILEGES = {"is_staff", "is_superuser", "is_active", "password"}


def begin_session(*, request: HttpRequest | None, user: User, **_: object) -> None:
    """Store the session after Django's ``login()``: a new id also for the same user, the limit, the binding."""
    if request is not None and isinstance(getattr(request, "session", None), SessionStore):
        login.begin(request, user)


def end_session(*, request: HttpRequest | None, **_: object) -> None:
    """End the session at logout, also if another request has just rotated its id."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.end()


def count_sessions(
    *, sender: type[Model], instance: Model, update_fields: Fields = None, raw: bool = False, **_: object
) -> None:
    """Count the sessions of an inactive user before its row is saved, since the trigger then deletes them."""
    if _concerns_privileges(sender, update_fields, raw) and not getattr(instance, "is_active", True):
        instance.__dict__[_ENDING] = _sessions_of(instance).count() if instance.pk is not None else 0


def follow_user(
    *,
    sender: type[Model],
    instance: Model,
    created: bool,
    update_fields: Fields = None,
    raw: bool = False,
    **_: object,
) -> None:
    """Report the sessions that ended because the user was saved as inactive, and wait for the leases.

    Any save of the password or of a privilege waits, changed or not: to compare them would cost a query for each save.
    No lease knows a new user, so its first save does not wait. A new row of a child of the user model may belong to a
    user that exists, with multi-table inheritance, so it waits.
    """
    is_new = created and issubclass(get_user_model(), sender)
    if is_new or not _concerns_privileges(sender, update_fields, raw):
        return
    if ending := instance.__dict__.pop(_ENDING, 0):
        ended = events.SessionsEnded(count=ending, subject=f"user:{instance.pk}", reason="the user is no longer active")
        with transaction.atomic(using=settings.DATABASE):
            _sessions_of(instance).end()  # waits for the leases, and deletes the rows in a database without triggers
            audit.write(ended)
        events.emit(ended)
    else:
        leases.outlast()


def outlast_leases(*, action: str, **_: object) -> None:
    """Wait for the leases after a change of a user's groups or permissions, or of a group's permissions."""
    if action in ("post_add", "post_remove", "post_clear"):
        leases.outlast()


def connect() -> None:
    user_logged_in.connect(begin_session, dispatch_uid="securecore.begin_session")
    user_logged_out.connect(end_session, dispatch_uid="securecore.end_session")
    pre_save.connect(count_sessions, dispatch_uid="securecore.count_sessions")
    post_save.connect(follow_user, dispatch_uid="securecore.follow_user")
    user: Any = get_user_model()
    for owner, name in ((user, "groups"), (user, "user_permissions"), (Group, "permissions")):
        field = getattr(owner, name, None)
        if field is not None:
            m2m_changed.connect(outlast_leases, sender=field.through, dispatch_uid=f"securecore.{name}")


def _concerns_privileges(sender: type[Model], update_fields: Fields, raw: bool) -> bool:
    """Return whether this save may change a user's privileges. A login saves ``last_login`` only.

    A parent of the user model may have these columns, so its rows are saved like those of the user model.
    """
    user = get_user_model()
    if raw or not (issubclass(sender, user) or issubclass(user, sender)):
        return False
    return update_fields is None or bool(_PRIVILEGES.intersection(update_fields))


def _sessions_of(user: Model) -> SessionQuerySet:
    return Session.objects.using(settings.DATABASE).for_user(user.pk)
