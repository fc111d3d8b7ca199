"""The help text of a running demo: shell commands that work when pasted in the order given."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo_project.stack import Stack
from securecore.installation import certificates

_FRESH = '-H "X-Request-Timestamp: $t" -H "X-Request-Nonce: $n"'
#: The path of the control room in the admin.
CONTROL_ROOM = "/admin/securecore/controlroom/"
_TWICE = "t=$(date +%s); n=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \\n'); for i in 1 2; do {}; done"
_PICK = r"""sed 's/.*"access_token": *"\([^"]*\)".*/\1/'"""


def guide(stack: Stack) -> str:
    """Return the text for the terminal."""
    lines = [f"Ready: {stack.url}", "", "Paste these into another terminal, in this folder."]
    for part in (_identity, _replay, _binding, _commands):
        for title, commands in part(stack):
            lines += ["", f"# {title}", *commands]
    bundle = f"{short(stack.pki / 'alice.p12')} (password: {certificates.PASSWORD})"
    browser = (
        f"In a browser: import {bundle} as your certificate, trust {short(stack.pki / 'ca.pem')}, open {stack.url}/."
    )
    room = (
        f"The control room: import {short(stack.pki / 'carol.p12')} in the same way, open {stack.url}{CONTROL_ROOM}, "
        f"and log in as carol with the password {certificates.PASSWORD}."
    )
    return "\n".join([*lines, "", browser, "", room, "", "Ctrl-C ends everything."])


def short(path: Path) -> str:
    """Return ``path`` relative to the current folder if it lies there, else unchanged."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _identity(stack: Stack) -> Iterator[tuple[str, list[str]]]:
    yield "Who am I? The certificate says it.", [_curl(stack, "alice", "/api/whoami")]
    bad = [_curl(stack, name, "/api/whoami") for name in ("revoked", "expired", "stranger")]
    yield "Revoked, expired, of another authority: refused by nginx.", bad
    yield "No certificate: refused by the application.", [_curl(stack, None, "/api/whoami")]


def _replay(stack: Stack) -> Iterator[tuple[str, list[str]]]:
    transfer = _json({"to": "bob", "amount": 2500, "memo": "lunch"})
    once = _curl(stack, "alice", "/api/transfers", f"-i -H 'Idempotency-Key: lunch-1' {transfer}")
    yield "One key, one transfer. Run it twice: the same id, and Idempotency-Replayed: true.", [once]
    payout = _json({"to": "savings", "amount": 1000})
    held, fell = (_curl(stack, "alice", f"{at}/api/payouts", f"{_FRESH} {payout}") for at in ("", "/vulnerable"))
    yield "A payout, and the same request again: 201, then 409.", [_TWICE.format(held)]
    yield "The same attack on the unprotected twin pays twice.", [_TWICE.format(fell)]


def _binding(stack: Stack) -> Iterator[tuple[str, list[str]]]:
    jar = shlex.quote(short(stack.var / "run" / "cookies"))
    login = _curl(stack, "alice", "/auth/login", f"-c {jar} {_json({})}")
    uses = [_curl(stack, name, "/api/whoami", f"-b {jar}") for name in ("alice", "bob")]
    title = 'A session is bound to its certificate: "session" is true for alice, false for bob with her cookie.'
    yield title, [login, *uses]
    issue = _curl(stack, "service", "/oauth/token", "-d grant_type=client_credentials -d client_id=service")
    uses = [_curl(stack, name, "/api/whoami", '-H "Authorization: Bearer $token"') for name in ("service", "bob")]
    title = 'So is a token: "token" is its jti for service, and bob gets 401 with it.'
    yield title, [f"token=$({issue} | {_PICK})", *uses]


def _commands(stack: Stack) -> Iterator[tuple[str, list[str]]]:
    yield "All five attacks, on both.", [_manage(stack, "tour")]
    yield "What expired and may go.", [_manage(stack, "securecore_purge --dry-run")]


def _curl(stack: Stack, name: str | None, path: str, options: str = "") -> str:
    folder = Path(short(stack.pki))
    command = ["curl", "-sS", "-w", r"'\n'", "--cacert", shlex.quote(str(folder / "ca.pem"))]
    if name:
        command += ["--cert", shlex.quote(str(folder / f"{name}.pem"))]
        command += ["--key", shlex.quote(str(folder / f"{name}.key"))]
    return " ".join(filter(None, [*command, options, f"{stack.url}{path}"]))


def _json(body: dict[str, Any]) -> str:
    return f"-H 'Content-Type: application/json' -d {shlex.quote(json.dumps(body))}"


def _manage(stack: Stack, command: str) -> str:
    """Return the shell line that runs a manage.py command with the settings of this stack."""
    environment = []
    if stack.port != 8443:
        environment.append(f"PORT={stack.port}")
    if "DEMO_VAR" in os.environ:
        environment.append(f"DEMO_VAR={shlex.quote(str(stack.var))}")
    if stack.database_url:
        # The URL may hold a password, which must not appear on a screen.
        environment.append('DATABASE_URL="$DATABASE_URL"')
    return " ".join([*environment, shlex.quote(short(Path(sys.executable))), "manage.py", command])
