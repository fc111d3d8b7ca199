"""The program of ``test_empty_project``: it follows the hints of ``manage.py check`` in a new project, one by one.

The project is that of ``startproject`` with one view, and with securecore in INSTALLED_APPS. The program forks for each
command, so that each command reads the settings file anew. It prints one JSON object: the id of each message that it
followed, and the response to a request with a certificate.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

# Imported before the forks, since each fork would import these anew. None of them reads settings.
import django.core.management
import django.db.models
import jwt  # noqa: F401
from django.core.management import execute_from_command_line

VIEW = """
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView


class WhoAmI(APIView):
    def get(self, request):
        return Response({"user": request.user.get_username()})


urlpatterns = [path("whoami", WhoAmI.as_view())]
"""
MESSAGE = re.compile(r"\(securecore\.(\w+)\).*\n\s*HINT: (.*)")
#: A hint has at least one of these forms: the project's developer can paste each.
OPTIONS = re.compile(r"Set OPTIONS = (\{.*?\}) for it in DATABASES")
ENTRY = re.compile(r"\b[Ss]et (SECURECORE|REST_FRAMEWORK)\['(\w+)'\] = (\[.*?\]|'[^']*')")
SETTING = re.compile(r"\b[Ss]et (?!OPTIONS)([A-Z_]+) = (\(.*?\)|\[.*?\]|'[^']*'|True|False|\{.*\})")
PLACE = re.compile(r"[Pp]ut '([\w.]+)' into ([A-Z_]+)(?:, (first|last|before)| in place of '([\w.]+)')")
IMPORT = re.compile(r"Write `(from [\w.]+ import [A-Z_]+)`")
COMMAND = re.compile(r"Run manage\.py ([\w -]*\w)")


def in_a_fork(work: Callable[[], Any]) -> str:
    """Run ``work`` in a child process; return everything that it prints."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            try:
                work()
            except SystemExit:
                pass
            except BaseException as error:
                print(repr(error))
        os.write(writing, output.getvalue().encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        printed = pipe.read()
    os.waitpid(child, 0)
    return printed


def manage(*arguments: str) -> str:
    return in_a_fork(lambda: execute_from_command_line(["manage.py", *arguments]))


def follow(hint: str, settings: Path) -> bool:
    """Follow ``hint``; return whether it holds anything that a reader can type."""
    lines: list[str] = [f"DATABASES['default']['OPTIONS'] = {found[1]}" for found in OPTIONS.finditer(hint)]
    for name, entry, value in ENTRY.findall(hint):
        lines.append(f"{name} = {{**globals().get({name!r}, {{}}), {entry!r}: {value}}}")
    lines += [f"{name} = {value}" for name, value in SETTING.findall(hint)]
    lines += IMPORT.findall(hint)
    for added, name, place, replaced in PLACE.findall(hint):
        lines.append(f"{name} = [*globals().get({name!r}, [])]")
        if replaced:
            lines.append(f"{name}[{name}.index({replaced!r})] = {added!r}")
        else:
            lines.append(f"{name}.insert({f'len({name})' if place == 'last' else 0}, {added!r})")
    settings.write_text("\n".join([settings.read_text(), *lines]))
    commands = COMMAND.findall(hint)
    for command in commands:
        manage(*command.split())
    return bool(lines or commands)


def request(pem: str) -> None:
    django.setup()
    from django.contrib.auth import authenticate
    from django.contrib.auth.models import User
    from django.core.management import call_command

    from securecore.testing import Authority, MutualTLSClient

    issued = Authority().issue("alice")
    Path(pem).write_text(issued.pem)
    User.objects.create_user("alice", password="of the admin")
    call_command("securecore_certificates", "enroll", "alice", pem, stdout=io.StringIO())
    response = MutualTLSClient(issued, HTTP_HOST="localhost").get("/whoami")
    by_password = authenticate(username="alice", password="of the admin")
    print(json.dumps([response.status_code, response.content.decode(), str(by_password)]))


def main(folder: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    manage("startproject", "project", ".")
    settings = Path("project", "settings.py")
    settings.write_text(f"{settings.read_text()}\nINSTALLED_APPS.append('securecore')\n")
    Path("project", "urls.py").write_text(VIEW)
    followed: list[str] = []
    fault = ""
    while not fault and (messages := MESSAGE.findall(manage("check", "--deploy", "--database", "default"))):
        for identifier, hint in messages:
            if identifier in followed or not follow(hint, settings):
                fault = f"{identifier} is still there after: {hint}"
            followed.append(identifier)
    print(json.dumps({"followed": followed, "fault": fault, "answered": in_a_fork(lambda: request("alice.pem"))}))


if __name__ == "__main__":
    main(sys.argv[1])
