"""The pages of the admin for each user model: lists, searches by name, rows, and the end of a session."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.messages.storage.cookie import CookieStorage
from django.test import RequestFactory

from securecore.grants import principal_of
from securecore.models import AuditRow, Certificate, Grant, Session
from tests.projects.calls import MAKE, give
from tests.projects.people import Person


class Administrator:
    """A user of the project who may do everything, also in a project whose user model has no permissions."""

    is_active = is_staff = is_authenticated = True
    is_anonymous = False

    def __init__(self, user: Any) -> None:
        self.pk, self.get_username = user.pk, user.get_username

    def has_perm(self, *_: Any) -> bool:
        return True

    has_module_perms = has_perm


def visit(person: Person) -> None:
    """Search each list for the person, look at each row, and end the person's sessions."""
    if not apps.is_installed("django.contrib.admin"):
        return
    name = person.user.get_username()
    give(principal_of(person.user), MAKE)
    for model in (Certificate, Session, Grant, AuditRow):
        found = _shown(_request(person, q=name), model)
        rows = list(found.context_data["cl"].result_list)
        assert rows
        assert found.rendered_content.count(name) > 1  # the search box has it too
        for row in rows:
            page: Any = admin.site._registry[model].change_view(_request(person), str(row.pk))
            assert name in page.render().content.decode()
    keys = [str(row.pk) for row in Session.objects.for_user(person.user.pk)]
    chosen = {"action": "end_sessions", "_selected_action": keys}
    assert name in _shown(_request(person, chosen), Session).rendered_content
    assert _shown(_request(person, chosen | {"step": "confirmed"}), Session).status_code == 302
    assert not Session.objects.for_user(person.user.pk).exists()


def _shown(request: Any, model: Any) -> Any:
    return admin.site._registry[model].changelist_view(request)


def _request(person: Person, posted: dict[str, Any] | None = None, **query: str) -> Any:
    factory = RequestFactory()
    request: Any = factory.get("/", query) if posted is None else factory.post("/", posted)
    request.user, request._dont_enforce_csrf_checks = Administrator(person.user), True
    request._messages = CookieStorage(request)
    return request
