"""Reads status and JSON of a response."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx

from securecore_scan.outcomes import Inconclusive


def parsed_json(text: str | bytes) -> Any:
    """Return the values of a JSON text. Raises ``ValueError``, also for a text that is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def require_success(response: httpx.Response) -> httpx.Response:
    """Return a 2xx response. Raises ``Inconclusive`` for any other status: the attack cannot go on from there."""
    if not response.is_success:
        raise Inconclusive(f"{route(response)} answered {status_text(response)}")
    return response


def require_json(response: httpx.Response) -> Any:
    """Return the JSON of a 2xx response. Raises ``Inconclusive`` for any other response."""
    try:
        return parsed_json(require_success(response).content)
    except ValueError:
        raise Inconclusive(f"{route(response)} answered without JSON") from None


def is_refused(response: httpx.Response) -> bool:
    """Say whether the service refused the request. Raises ``Inconclusive`` for 429 and 5xx, which decide nothing."""
    if response.status_code >= 500 or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise Inconclusive(f"{route(response)} answered {status_text(response)}")
    return not response.is_success


def route(response: httpx.Response) -> str:
    """Return method and path of the request, such as ``GET /api/whoami``."""
    return f"{response.request.method} {response.url.path}"


def status_text(response: httpx.Response) -> str:
    """Return the status, and the problem's code if there is one. The rest of the body may hold secrets."""
    code = json_field(json_or_none(response), "code")
    return f"{response.status_code} {code}" if isinstance(code, str) and len(code) < 60 else str(response.status_code)


def count_statuses(answers: Iterable[httpx.Response]) -> str:
    """Return the number of responses with each status, such as ``1 x 201, 15 x 409``."""
    return ", ".join(f"{number} x {status}" for status, number in sorted(Counter(map(status_text, answers)).items()))


def json_or_none(response: httpx.Response) -> Any:
    """Return the JSON of a response of any status, or None if the body is not JSON."""
    try:
        return parsed_json(response.content)
    except ValueError:
        return None


def json_field(document: Any, path: str) -> Any:
    """Return the value at ``path`` (``a.b``) of a JSON document, or None if there is none."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document
