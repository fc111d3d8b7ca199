"""Send the ten requests of each certificate: python -m tools.soak.visitor URL PKI KEYS FIRST LAST STEP

Prints the number of the last certificate after each. A 503 with ``Retry-After`` is obeyed, as by any client; any other
response than expected ends the program.
"""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from securecore.installation import certificates
from tools.soak.population import Mint

REQUESTS = 10
#: Seconds, below nginx's keepalive_timeout of 15.
IDLE = 5
#: Seconds in which a request may get 503. On a busy machine a wait for the gate can be too long.
PATIENCE = 120
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON = {"Content-Type": "application/json"}


class Unexpected(Exception):
    """A response with another status; the message quotes it."""


class Visit:
    """One certificate's connection."""

    def __init__(self, url: str, ca: Path, certificate: Path, user: str) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(certificate)
        parts = urlsplit(url)
        self._connection = http.client.HTTPSConnection(str(parts.hostname), parts.port, context=context, timeout=60)
        self._user = user
        self._answered = time.monotonic()

    def run(self) -> None:
        """Send the requests, each with the status that it must have, and one to the unprotected twin."""
        try:
            for status, method, path, headers, body in self._requests():
                self.answer = self._send(status, method, path, headers, body)
            # The twin knows none of these users: it refuses them, and keeps their certificates.
            self._send(None, "GET", "/vulnerable/api/whoami", {}, "")
        finally:
            self._connection.close()

    def _requests(self) -> Iterator[tuple[int, str, str, dict[str, str], str]]:
        yield 200, "POST", "/auth/login", _JSON, "{}"
        cookie = {"Cookie": self.answer[0]["set-cookie"].partition(";")[0]}
        yield 200, "GET", "/api/whoami", cookie, ""
        form = {"grant_type": "client_credentials", "client_id": self._user}
        yield 200, "POST", "/oauth/token", _FORM, urlencode(form)
        token = self.answer[1]["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        yield 200, "GET", "/api/reports", bearer, ""
        proof = {"X-Request-Timestamp": str(int(time.time())), "X-Request-Nonce": secrets.token_urlsafe(16)}
        yield 201, "POST", "/api/payouts", _JSON | proof, json.dumps({"to": "soak", "amount": 1})
        order = json.dumps({"to": "bob", "amount": 1, "memo": "soak"})
        key = {"Idempotency-Key": secrets.token_urlsafe(16)}
        yield 201, "POST", "/api/transfers", _JSON | key, order
        yield 201, "POST", "/api/transfers", _JSON | key, order
        yield 200, "POST", "/oauth/revoke", _FORM, urlencode({"token": token, "client_id": self._user})
        yield 401, "GET", "/api/reports", bearer, ""
        yield 200, "GET", "/api/whoami", {}, ""

    def _send(self, status: int | None, method: str, path: str, headers: dict[str, str], body: str) -> Any:
        """Send the request until it is answered by anything but 503; return the headers and the JSON of the answer."""
        deadline = time.monotonic() + PATIENCE
        while True:
            response, content = self._exchange(method, path, headers, body)
            wait = response.headers.get("Retry-After")
            if response.status != 503 or wait is None or time.monotonic() > deadline:
                break
            print("busy", flush=True)
            time.sleep(int(wait))
            if "X-Request-Nonce" in headers:  # the refused request may have used it up
                headers = headers | {"X-Request-Nonce": secrets.token_urlsafe(16)}
        if status not in (None, response.status):
            raise Unexpected(f"{method} {path}: {response.status} instead of {status}: {content[:300]!r}")
        is_json = "json" in response.headers.get("Content-Type", "")
        return {name.lower(): value for name, value in response.getheaders()}, json.loads(content) if is_json else None

    def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if time.monotonic() - self._answered > IDLE:
            self._connection.close()  # nginx may close it at this very moment; the next request opens another
        self._connection.request(method, path, body=body or None, headers=headers)
        response = self._connection.getresponse()
        content = response.read()
        self._answered = time.monotonic()
        return response, content


def main(url: str, folder: str, keys: str, *numbers: str) -> None:
    """Visit with each certificate of ``range(FIRST, LAST, STEP)``."""
    own = Path(folder)
    mint = Mint(Path(keys), certificates.load_authority(own))
    with tempfile.NamedTemporaryFile(suffix=".pem") as certificate:
        for number in range(*map(int, numbers)):
            user = mint.write(Path(certificate.name), number)
            Visit(url, own / "ca.pem", Path(certificate.name), user).run()
            print(number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
