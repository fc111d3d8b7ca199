"""The program of ``test_another_database``: it requests each view of ``VIEWS``, and prints one JSON object.

The object maps each view that failed to its traceback.
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any

import django
from django.core.management import call_command
from django.test import override_settings
from django.test.runner import DiscoverRunner

VIEWS = ("token", "revoke", "introspect", "login", "logout", "sessions", "admin")


def answered(response: Any, status: int = 200) -> Any:
    assert response.status_code == status, (response.status_code, response.content)
    return response


class Views:
    """One method for each case, named as the test names it."""

    def __init__(self) -> None:
        from django.contrib.auth.models import User

        from securecore import clock
        from securecore.identity import enroll, parse_pem
        from securecore.testing import Authority, MutualTLSClient

        self.issued = Authority().issue("alice")
        self.certificate = parse_pem(self.issued.pem)
        self.user = User.objects.create_superuser("alice", password="x")
        enroll(certificate=self.certificate, user=self.user, now=clock.now())
        self.client = MutualTLSClient(self.issued)

    def token(self) -> None:
        from tests.tokens.calls import given, refresh

        held = given(self.client)
        again = answered(refresh(self.client, held["refresh_token"])).json()
        # The third token is an ancestor. The family ends, and this commits although the response is an error.
        answered(refresh(self.client, again["refresh_token"]))
        answered(refresh(self.client, held["refresh_token"]), 400)
        assert not self.introspected(again["access_token"])

    def revoke(self) -> None:
        from tests.tokens.calls import given, post

        for kind in ("access_token", "refresh_token"):
            held = given(self.client)
            answered(post(self.client, f"token={held[kind]}", "/oauth/revoke"))
            assert not self.introspected(held["access_token"])

    def introspect(self) -> None:
        from tests.tokens.calls import given

        assert self.introspected(given(self.client)["access_token"])

    def introspected(self, token: str) -> bool:
        from tests.tokens.calls import post

        return bool(answered(post(self.client, f"token={token}", "/oauth/introspect")).json()["active"])

    def login(self) -> None:
        from securecore.models import Session

        answered(self.client.post("/auth/login"))
        assert Session.objects.using("security").count() == 1

    def logout(self) -> None:
        from tests.tokens.calls import given

        held = given(self.client)
        answered(self.client.post("/auth/logout", HTTP_AUTHORIZATION=f"Bearer {held['access_token']}"), 204)
        assert not self.introspected(held["access_token"])

    def sessions(self) -> None:
        from securecore.models import Session

        self.login()
        answered(self.client.get("/auth/sessions"))
        answered(self.client.delete(f"/auth/sessions/{Session.objects.get().pk}"), 204)
        assert not Session.objects.exists()

    def admin(self) -> None:
        from securecore.models import Certificate

        self.login()
        selected = {"action": "revoke", "_selected_action": [self.certificate.thumbprint], "step": "confirmed"}
        with override_settings(ROOT_URLCONF="tests.urls"):
            answered(self.client.post("/admin/securecore/certificate/", selected), 302)
        assert Certificate.objects.get().revoked_at is not None


def main() -> dict[str, str]:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.http.two_databases"
    # The databases are in memory, so no other connection may open those of the run.
    os.environ.pop("TEST_DATABASE_URL", None)
    django.setup()
    runner = DiscoverRunner(verbosity=0, interactive=False)
    runner.setup_test_environment()
    databases = runner.setup_databases(aliases={"default", "security"})
    failures = {view: failure for view in VIEWS if (failure := failure_of(view))}
    runner.teardown_databases(databases)
    return failures


def failure_of(view: str) -> str:
    """Request one view, delete all rows, and return the traceback of an exception."""
    try:
        getattr(Views(), view)()
    except Exception:
        return traceback.format_exc()
    finally:
        call_command("flush", database="security", interactive=False, verbosity=0)
    return ""


if __name__ == "__main__":
    print(json.dumps(main()))
