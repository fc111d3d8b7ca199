"""Misspelt permissions, clients, groups and objects on a command line are pointed out, with the names near to them."""

from __future__ import annotations

from contextlib import suppress
from io import StringIO

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.decorators import api_view
from rest_framework.viewsets import ViewSet

from securecore import clock
from securecore.grants import grant, principal_of
from securecore.http.decorators import requires
from securecore.http.permissions import GrantedView, HasGrant
from securecore.models import Grant
from tests.management.commands import printed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

MAKE = "payments.make"


@requires(MAKE)
def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@api_view(["POST"])
@requires("payments.of-function")
def function(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class Accounts(GrantedView, ViewSet):
    grants = {"list": "accounts.list", "create": None}  # noqa: RUF012

    def list(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    @requires("accounts.close")
    def closing(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


class Owned(GrantedView, ViewSet):
    permission_classes = [HasGrant("accounts.own")]  # type: ignore[list-item]  # noqa: RUF012

    def list(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse()


urlpatterns = [
    path("plain", plain),
    path("function", function),
    path("accounts", Accounts.as_view({"get": "list", "post": "closing"})),
    path("owned", Owned.as_view({"get": "list"})),
    path("other", Owned.as_view({"get": "list"}, permission_classes=[HasGrant("accounts.other")])),
]


@pytest.fixture
def user() -> User:
    return User.objects.create(username="alice")


def doubts(*arguments: str) -> str:
    """Return the standard error of a command that succeeds."""
    told = StringIO()
    call_command(*arguments, stdout=StringIO(), stderr=told)
    return told.getvalue()


class TestSpelling:
    """A misspelt name is pointed out. It is no error: a grant may come before the view that names its permission."""

    def test_a_permission_that_no_view_names(self, user: User) -> None:
        told = doubts("securecore_grants", "grant", "payments.maek", "--user", "alice")
        assert "No view names the permission payments.maek, and nobody has it. Did you mean payments.make?" in told
        assert Grant.objects.count() == 1, "the grant was given"
        assert "nobody has" not in doubts("securecore_grants", "callers", "payments.maek"), "somebody has it now"

    @pytest.mark.parametrize("action", ["callers", "why", "list"])
    def test_a_question_about_a_misspelt_permission(self, user: User, action: str) -> None:
        arguments = {"why": ["payments.maek", "--user", "alice"], "list": ["--permission", "payments.maek"]}
        grant(principal=principal_of(user), permission="payments.made", now=clock.now())
        told = StringIO()
        with suppress(SystemExit):  # she has it not
            call_command(
                *("securecore_grants", action, *arguments.get(action, ["payments.maek"])),
                stdout=StringIO(),
                stderr=told,
            )
        assert "Did you mean payments.mak" in told.getvalue()

    @pytest.mark.parametrize(
        "permission",
        [
            *(MAKE, "payments.of-function", "accounts.list", "accounts.close", "accounts.own", "accounts.other"),
            *("auth.add_user", "role:clerk"),
        ],
    )
    def test_a_known_permission_is_no_doubt(self, user: User, permission: str) -> None:
        """Of ``@requires``, of ``GrantedView``, of ``HasGrant``, of Django, and a new role."""
        assert doubts("securecore_grants", "grant", permission, "--user", "alice") == ""

    def test_a_role_beside_one_of_nearly_the_same_name(self, user: User) -> None:
        printed("securecore_grants", "grant", MAKE, "--role", "clerk")
        assert "Did you mean role:clerk?" in doubts("securecore_grants", "grant", "role:clrek", "--user", "alice")

    def test_an_unknown_client(self, user: User) -> None:
        printed("securecore_clients", "register", "payments", "alice")
        for arguments in (
            ("securecore_lock", "add", "--client", "paymnts", "--reason", "x"),
            ("securecore_grants", "grant", MAKE, "--client", "paymnts"),
            ("securecore_tokens", "revoke", "--client", "paymnts"),
        ):
            told = doubts(*arguments)
            assert "No client of this name is registered" in told, arguments
            assert "Did you mean payments?" in told, arguments
        assert "No client" not in doubts("securecore_grants", "grant", MAKE, "--client", "payments")

    def test_an_unknown_object_or_group(self, user: User) -> None:
        Group.objects.create(name="Tellers")
        for arguments, known in (
            (("--user", "alice", "--object", "auth.groop:7"), "auth.group"),
            (("--group", "Telers"), "Tellers"),
        ):
            with pytest.raises(CommandError, match=f"Did you mean {known}"):
                printed("securecore_grants", "grant", MAKE, *arguments)
