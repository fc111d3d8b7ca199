"""One process of the project in ``settings``: tries each neighbour and prints the failures as JSON."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import tempfile
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="neighbours-") as folder:
        os.environ["NEIGHBOURS_DATABASE"] = str(Path(folder, "database.sqlite3"))
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.neighbours.settings"
        Path(folder, "static").mkdir()
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        print(json.dumps({name: _failure(Neighbours(), name) for name in NAMES}))


def _failure(neighbours: Neighbours, name: str) -> str:
    try:
        getattr(neighbours, name)()
    except BaseException:  # each failure is printed for its test
        return traceback.format_exc()
    return ""


class Neighbours:
    """A method for each package. Each creates a user of its own."""

    def __init__(self) -> None:
        from securecore.testing import Authority

        self.authority = Authority()

    def user(self, name: str) -> tuple[Any, Any]:
        """Return a user with a certificate, and a client with that certificate."""
        from django.contrib.auth.models import User

        from securecore import clock
        from securecore.identity import enroll, parse_pem
        from securecore.testing import MutualTLSClient

        user = User.objects.create_user(name, password="a long secret", is_staff=True)
        issued = self.authority.certificate_for(name)
        enroll(certificate=parse_pem(issued.pem), user=user, now=clock.now())
        return user, MutualTLSClient(issued)

    def checks(self) -> None:
        from django.core.management import call_command

        call_command("check", fail_level="ERROR", stderr=io.StringIO(), stdout=io.StringIO())

    def axes(self) -> None:
        user, client = self.user("of axes")
        form = {"username": user.username, "password": "a long secret"}
        assert client.post("/admin/login/?next=/me", form).status_code == 302
        assert client.get("/me").json()["user"] == user.username
        statuses = [client.post("/admin/login/", form | {"password": "wrong"}).status_code for _ in range(3)]
        assert statuses[-1] == 429, statuses
        assert client.post("/admin/login/", form).status_code == 429

    def otp(self) -> None:
        from django_otp.plugins.otp_static.models import StaticDevice

        user, client = self.user("of otp")
        StaticDevice.objects.create(user=user, name="codes").token_set.create(token="123456")
        client.force_login(user)
        client.cookies.clear()
        client.post("/admin/login/?next=/me", {"username": user.username, "password": "a long secret"})
        assert client.get("/me").json()["verified"] is False
        assert client.get("/verify?token=123456").status_code == 200
        assert client.get("/me").json()["verified"] is True

    def guardian(self) -> None:
        from django.contrib.auth.models import Group
        from guardian.shortcuts import assign_perm, remove_perm

        group = Group.objects.create(name="one")
        user, client = self.user("of guardian")
        client.post("/admin/login/?next=/me", {"username": user.username, "password": "a long secret"})
        assert client.get("/me").json()["may"] is False
        assign_perm("auth.change_group", user, group)
        assert client.get("/me").json()["may"] is True
        remove_perm("auth.change_group", user, group)
        assert client.get("/me").json()["may"] is False

    def debug_toolbar(self) -> None:
        _, client = self.user("of the toolbar")
        assert b"djDebug" in client.get("/page").content

    def whitenoise(self) -> None:
        _, client = self.user("of whitenoise")
        response = client.get("/static/admin/css/base.css")
        assert (response.status_code, response["Content-Type"]) == (200, 'text/css; charset="utf-8"')
        assert len(b"".join(response)) > 1_000

    def simplejwt_left_in_place(self) -> None:
        self._simplejwt("/stock", "of stock simplejwt")

    def simplejwt_while_moving(self) -> None:
        from rest_framework_simplejwt.tokens import AccessToken

        from securecore.revocation import revoke_user_tokens

        user = self._simplejwt("/moving", "of moving simplejwt")
        token = f"Bearer {AccessToken.for_user(user)}"
        revoke_user_tokens(user)
        from securecore.testing import MutualTLSClient

        assert MutualTLSClient(None).get("/moving", headers={"Authorization": token}).status_code == 401

    def _simplejwt(self, path: str, name: str) -> Any:
        from rest_framework_simplejwt.tokens import AccessToken

        from securecore.testing import MutualTLSClient

        user, client = self.user(name)
        token = {"Authorization": f"Bearer {AccessToken.for_user(user)}"}
        for each in (client, MutualTLSClient(None)):
            assert each.get(path, headers=token).json() == {"user": name}
        other, _ = self.user(f"another {name}")
        theirs = {"Authorization": f"Bearer {AccessToken.for_user(other)}"}
        assert client.get(path, headers=theirs).status_code == 401  # beside the certificate of another user
        assert client.get(path, headers={"Authorization": "Bearer nothing"}).status_code == 401
        return user

    def oauth_toolkit(self) -> None:
        from django.utils import timezone
        from oauth2_provider.models import AccessToken, Application

        from securecore.testing import MutualTLSClient

        user, client = self.user("of the toolkit")
        application = Application.objects.create(
            name="an application", client_type="public", authorization_grant_type="authorization-code"
        )
        AccessToken.objects.create(
            user=user, token="opaque", application=application, expires=timezone.now() + dt.timedelta(hours=1)
        )
        token = {"Authorization": "Bearer opaque"}
        for each in (client, MutualTLSClient(None)):
            assert each.get("/toolkit", headers=token).json() == {"user": user.username}
        assert self.user("another of the toolkit")[1].get("/toolkit", headers=token).status_code == 401
        AccessToken.objects.all().delete()
        assert client.get("/toolkit", headers=token).status_code == 401

    def spectacular(self) -> None:
        from django.core.management import call_command

        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            call_command("spectacular", validate=True, stdout=io.StringIO())
        assert "could not resolve authenticator" not in said.getvalue(), said.getvalue()

    def celery(self) -> None:
        from celery import Celery
        from celery.contrib.testing.worker import start_worker

        application = Celery("neighbours", broker="memory://", backend="cache+memory://")
        pay = application.task(name="pay")(_pay)
        with start_worker(application, perform_ping_check=False, pool="solo", loglevel="ERROR"):
            self._outside_a_request("of celery", lambda name: pay.delay(name).get(timeout=20, interval=0.02))

    def django_tasks(self) -> None:
        from django_tasks import task

        pay = task()(_pay)

        def run(name: str) -> Any:
            result = pay.enqueue(name)
            return result.return_value if result.is_finished and not result.errors else "PermissionDenied"

        self._outside_a_request("of django-tasks", run)

    def _outside_a_request(self, name: str, run: Any) -> None:
        from securecore import clock
        from securecore.grants import grant, principal_of
        from securecore.revocation import revoke_grant

        user, _ = self.user(name)
        principal = principal_of(user)
        assert run(principal) == "PermissionDenied"
        grant(principal=principal, permission="things.make", now=clock.now())
        assert run(principal) == "done"
        revoke_grant(principal=principal, permission="things.make")
        assert run(principal) == "PermissionDenied"


def _pay(principal: str) -> str:
    """Have an effect under a permission that is checked in a worker, outside of a request."""
    from securecore.errors import PermissionDenied
    from securecore.http.permissions import authorize
    from tests.support.views import make_effect

    try:
        with authorize(principal, "things.make"):
            make_effect()
    except PermissionDenied:
        return "PermissionDenied"
    return "done"


NAMES = tuple(name for name in vars(Neighbours) if not name.startswith("_") and name != "user")

if __name__ == "__main__":
    main()
