"""A client of the demo that writes each of its requests and answers into the history."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from tools.chaos.history import History

TIMEOUT = 45  # seconds for one request: longer than nginx waits for the application
#: Seconds between two attempts after a 503. A client of a bank would wait for ``Retry-After``.
PAUSE = 0.2


class Caller:
    """The client of one certificate. Each thread needs its own."""

    def __init__(self, url: str, pki: Path, name: str, history: History) -> None:
        context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
        context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
        self.url, self._history = url, history
        self._client = httpx.Client(base_url=url, verify=context, trust_env=False, timeout=TIMEOUT)

    def send(self, flow: str, value: str, method: str, path: str, **request: Any) -> httpx.Response | None:
        """Make one request about ``value``; return the answer, or None if none arrived."""
        began = time.monotonic()
        try:
            answer = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            self._history.write("no-answer", flow=flow, value=value, began=began, reason=repr(error))
            return None
        self._history.write(
            "answer",
            flow=flow,
            value=value,
            status=answer.status_code,
            retry_after=answer.headers.get("Retry-After"),
            effect=_effect(answer),
            seconds=round(time.monotonic() - began, 3),
        )
        return answer

    def insist(self, over: Callable[[], bool], *arguments: str, **request: Any) -> httpx.Response | None:
        """Send the request until the service decides it (below 500); return None if ``over()`` came first."""
        while not over():
            answer = self.send(*arguments, **request)
            if answer is not None and answer.status_code < 500 and answer.status_code != 409:
                return answer
            time.sleep(PAUSE)
        return None


def _effect(answer: httpx.Response) -> Any:
    body = answer.json() if answer.status_code == 201 else {}
    return body.get("id") if isinstance(body, Mapping) else None
