"""Bodies that one route takes, and bodies that no route takes."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from tests.fuzz.choices import Choices
from tests.fuzz.demo import FORM, NAMES, USERS, Demo
from tests.fuzz.sent import ORDERS, Sent


def body(sent: Sent, choices: Choices, demo: Demo, user: str) -> None:
    if sent.method in ("GET", "HEAD") and not choices.rarely(8):
        return
    kind, content = _good_body(sent.path, choices, demo, user)
    match choices.below(20):
        case 12:
            content = choices.mutated(content.decode("latin-1")).encode("latin-1")
        case 13:
            content = choices.take(choices.below(100))
        case 14:
            depth = choices.one((10, 900, 100_000))
            content = choices.one((b"[", b'{"a":', b"[{")) * depth
        case 15:
            kind, content = FORM, b"&".join([b"a=%ff"] * choices.one((1, 50, 1200)))
        case 16:
            kind, content = "multipart/form-data; boundary=x", _multipart(choices)
        case 17:
            kind = choices.one(("", "text/plain", "application/json; charset=utf-16", f"{FORM}; charset=punycode"))
        case 18:
            charset = choices.one(("hex", "idna", "undefined", "utf-7", "x*=hex''%41", choices.text()))
            kind = choices.one((f"{FORM}; charset={charset}", f"a/b; x*={charset}''%41", choices.text()))
        case 19:
            content = choices.one(
                (b"null", b"[]", b'"a"', b"1e999", b'{"to":"\\ud800","amount":1}', b"\xff\xfe", b"9" * 5000)
            )
    sent.body = content
    sent.environ |= {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(content))}


def _good_body(path: str, choices: Choices, demo: Demo, user: str) -> tuple[str, bytes]:
    other = choices.one([name for name in USERS if name != user])
    if path.startswith("/oauth/"):
        return FORM, urlencode(_oauth_form(path, choices, demo, user)).encode()
    if path.startswith("/api/admin/"):
        name = choices.one((*USERS, "nobody"))
        return "application/json", _json(principal=name, permission=choices.one(("transfers.create", "other", "A\0")))
    if path == "/api/vouchers/redeem":
        return "application/json", _json(code=choices.one((*demo.vouchers, choices.text())))
    amount: Any = choices.one((1, 1, 1, 1, 10**12, 0, -1, 2**63, 0.5, "1", True, None, [], 10**400))
    if path in ORDERS:
        return "application/json", _json(to=other, amount=amount, memo=choices.text(3))
    return "application/json", b"{}"


def _json(**values: Any) -> bytes:
    return json.dumps(values).encode()


def _oauth_form(path: str, choices: Choices, demo: Demo, user: str) -> dict[str, str]:
    name = user if not choices.rarely(4) else choices.one(NAMES)
    if path != "/oauth/token":
        return {"client_id": name, "token": choices.one((demo.refresh[user], choices.one(demo.tokens).text, "a.b.c"))}
    grant = choices.one(("client_credentials", "urn:securecore:grant-type:certificate", "refresh_token", "password"))
    form = {"grant_type": grant, "client_id": name}
    if grant == "refresh_token":
        form["refresh_token"] = choices.one((demo.refresh[user], choices.one(list(demo.refresh.values())), "\0"))
    if choices.rarely(4):
        form[choices.one(("scope", "client_secret", "resource"))] = choices.text()
    return form


def _multipart(choices: Choices) -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="a"%s\r\n\r\n%s\r\n'
    file = choices.one((b"", b'; filename="a"', b'; filename="../a\0"', b"; filename*=hex''%41"))
    return part % (file, choices.take(10)) * choices.one((1, 3, 300)) + choices.one((b"--x--\r\n", b"", b"--x"))
