"""The program of ``test_moves``: follow a page of the manual in a project that uses another package.

It forks for each step, so that each step reads the settings file anew, as a restarted service does. It prints one JSON
object: for each step the responses to a client that holds an old token.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import django.core.management
import django.db.models
import jwt  # noqa: F401  # imported before the forks, since each fork would import it anew
import rest_framework  # noqa: F401
from django.core.management import call_command, execute_from_command_line

from tests.checks.empty_project import in_a_fork
from tests.howto.moves import MOVES, Move
from tests.support.manual import settings_below

URLS = """
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView


class WhoAmI(APIView):
    def get(self, request):
        return Response({"user": request.user.get_username()})


urlpatterns = [path("whoami", WhoAmI.as_view())]
"""


def before(move: Move, settings: Path) -> None:
    """Write the project as it is before the move, with a user and an old token of that user."""
    apps = [*move.apps, "rest_framework"]
    classes = {"DEFAULT_AUTHENTICATION_CLASSES": [move.authentication]}
    permissions = {"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"]}
    settings.write_text(
        f"{settings.read_text()}\nINSTALLED_APPS += {apps!r}\nREST_FRAMEWORK = {classes | permissions!r}\n"
        "ALLOWED_HOSTS = ['testserver']\n"
    )
    settings.with_name("urls.py").write_text(URLS + move.urls)


def get_token(move: Move) -> None:
    """Print the header of a client that got its token before the move."""
    django.setup()
    from django.contrib.auth.models import User
    from django.test import Client

    call_command("migrate", verbosity=0)
    names: dict[str, Any] = {"client": Client(), "user": User.objects.create_user("alice", password="a long secret")}
    exec(move.token, names)
    assert Client().get("/whoami", headers={"Authorization": names["header"]}).json() == {"user": "alice"}
    print(names["header"])


def add_securecore(settings: Path) -> None:
    """Follow the page about an existing project: one app, the command, one URL."""
    settings.write_text(f"{settings.read_text()}\nINSTALLED_APPS += ['securecore']\n")
    urls = settings.with_name("urls.py")
    urls.write_text(f'{urls.read_text()}\nurlpatterns += [path("", include("securecore.urls"))]\n')
    printed = in_a_fork(lambda: execute_from_command_line(["manage.py", "securecore_init", "deploy"]))
    settings.write_text(settings.read_text() + printed.partition("Wrote deploy/")[0])
    in_a_fork(lambda: execute_from_command_line(["manage.py", "migrate", "-v", "0"]))


def responses(header: str) -> None:
    """Print the responses to the old token, and to a token that alice fetches under her certificate."""
    django.setup()
    from securecore.testing import Authority, MutualTLSClient, enrolled_user

    authority = Authority()
    certificates = {name: authority.issue(name) for name in ("alice", "bob")}
    for name, issued in certificates.items():
        enrolled_user(name, issued)
    old = {"Authorization": header}

    def seen(response: Any) -> str:
        body = response.json()
        return str(body.get("user") or f"{response.status_code} {body.get('code')}")

    alice, form = MutualTLSClient(certificates["alice"]), "application/x-www-form-urlencoded"
    new = alice.post("/oauth/token", "grant_type=client_credentials", content_type=form).json()["access_token"]
    bound = {"Authorization": f"Bearer {new}"}
    checked = io.StringIO()
    with redirect_stdout(checked):
        call_command("check", stderr=checked)
    print(
        json.dumps(
            {
                "without a certificate": seen(MutualTLSClient(None).get("/whoami", headers=old)),
                "under her certificate": seen(alice.get("/whoami", headers=old)),
                "under another's": seen(MutualTLSClient(certificates["bob"]).get("/whoami", headers=old)),
                "certificate alone": seen(alice.get("/whoami")),
                "new token": seen(alice.get("/whoami", headers=bound)),
                "stolen new token": seen(MutualTLSClient(None).get("/whoami", headers=bound)),
                "check": checked.getvalue(),
            }
        )
    )


def main(name: str, folder: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    in_a_fork(lambda: execute_from_command_line(["manage.py", "startproject", "project", "."]))
    move, settings = MOVES[name], Path("project", "settings.py")
    steps: dict[str, Any] = {}

    def ask(step: str, work: Callable[[], None]) -> None:
        printed = in_a_fork(work)
        try:
            steps[step] = json.loads(printed.strip().rpartition("\n")[2])
        except ValueError:
            steps[step] = printed

    before(move, settings)
    header = in_a_fork(lambda: get_token(move)).strip().rpartition("\n")[2]
    add_securecore(settings)
    ask("beside, before the page changes it", lambda: responses(header))
    settings.write_text(f"{settings.read_text()}\n{settings_below(move.page, '1. ')}")
    ask("beside", lambda: responses(header))
    settings.write_text(f"{settings.read_text()}\n{settings_below(move.page, '4. ')}")
    ask("after", lambda: responses(header))
    print(json.dumps({"header": header, **steps}))


if __name__ == "__main__":
    main(*sys.argv[1:])
