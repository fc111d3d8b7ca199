"""A service that caches 16 KiB for each client certificate, without a bound or with PEER_BOUND entries.

Started without TLS, it trusts the header X-Remote-User, as if a proxy had set it.
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

BOUND = int(os.environ.get("PEER_BOUND", "0"))

clients: OrderedDict[str, bytearray] = OrderedDict()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    user = _user(environ)
    start_response("200 OK" if user else "401 Unauthorized", [("Content-Type", "application/json")])
    return [json.dumps({"user": user}).encode()]


def _user(environ: dict[str, Any]) -> str | None:
    connection = environ["gunicorn.socket"]
    if not isinstance(connection, ssl.SSLSocket):
        return environ.get("HTTP_X_REMOTE_USER")
    certificate = connection.getpeercert(binary_form=True)
    if certificate is None:
        return None
    clients.setdefault(hashlib.sha256(certificate).hexdigest(), bytearray(b"\0") * 16_384)
    while BOUND and len(clients) > BOUND:
        clients.popitem(last=False)
    subject: Any = (connection.getpeercert() or {}).get("subject", ())
    return str(dict(field for (field,) in subject).get("commonName"))
