"""The program of ``test_existing_project``: add securecore to a project with session login, as the page says.

It prints one JSON object: the responses to a browser and to a program, before and after.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import django.core.management
import django.db.models
import jwt  # noqa: F401  # imported before the forks
import rest_framework  # noqa: F401
from django.core.management import call_command, execute_from_command_line

from tests.checks.empty_project import in_a_fork
from tests.howto.program import URLS, add_securecore

SETTINGS = """
INSTALLED_APPS += ["rest_framework"]
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
ALLOWED_HOSTS = ["testserver"]
"""
ADMIN = """
from django.contrib import admin
urlpatterns += [path("admin/", admin.site.urls)]
"""
FORM = {"username": "alice", "password": "a long secret"}


def before() -> None:
    """Print the session id of alice from a login by password before securecore was there."""
    django.setup()
    from django.contrib.auth.models import User
    from django.test import Client

    call_command("migrate", verbosity=0)
    User.objects.create_user(**FORM, is_staff=True)
    client = Client()
    assert client.post("/admin/login/?next=/admin/", FORM).status_code == 302
    assert client.get("/whoami").json() == {"user": "alice"}
    print(client.cookies["sessionid"].value)


def after(old_id: str) -> None:
    """Print the responses of the project with securecore."""
    django.setup()
    from django.conf import settings

    from securecore.testing import Authority, MutualTLSClient, enrolled_user

    authority = Authority()
    issued = {name: authority.issue(name) for name in ("alice", "bob")}
    for name in issued:
        enrolled_user(name, issued[name])
    with_old_id, browser, thief = MutualTLSClient(None), MutualTLSClient(None), MutualTLSClient(issued["bob"])
    with_old_id.cookies[settings.SESSION_COOKIE_NAME] = old_id
    seen: dict[str, Any] = {"old id": with_old_id.get("/whoami").status_code}
    seen["login"] = browser.post("/admin/login/?next=/admin/", FORM).status_code
    seen["new id"] = browser.get("/whoami").json()
    bound = MutualTLSClient(issued["alice"])
    bound.post("/admin/login/?next=/admin/", FORM)
    thief.cookies = bound.cookies
    seen["under another certificate"] = thief.get("/whoami").json()
    seen["program"] = MutualTLSClient(issued["alice"]).get("/whoami").json()
    print(json.dumps(seen))


def main(folder: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    in_a_fork(lambda: execute_from_command_line(["manage.py", "startproject", "project", "."]))
    settings = Path("project", "settings.py")
    settings.write_text(settings.read_text() + SETTINGS)
    settings.with_name("urls.py").write_text(URLS + ADMIN)
    old_id = in_a_fork(before).strip().rpartition("\n")[2]
    add_securecore(settings)
    print(in_a_fork(lambda: after(old_id)).strip().rpartition("\n")[2])


if __name__ == "__main__":
    main(sys.argv[1])
