"""Sends canary requests and counts their effects."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from securecore_scan.client.request import Request, build
from securecore_scan.client.responses import json_field, require_json, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Confidence, Inconclusive, NotApplicable, Skipped
from securecore_scan.plan import Call, Effect
from securecore_scan.templates import fill

#: Seconds that a service may need until a restored permission holds again.
PATIENCE = 8.0
#: Headers that mark a repeated response, as several packages spell them.
_REPLAYED = ("idempotency-replayed", "idempotent-replayed", "x-idempotency-replayed")


@dataclass(frozen=True)
class CapturedRequest:
    """A canary request as an attacker on the path would record it, with the values of its placeholders."""

    effect: Effect
    request: Request
    values: dict[str, str]

    @property
    def subject(self) -> str:
        return str(self.effect.request)

    @property
    def confidence(self) -> Confidence:
        return Confidence.HIGH if self.effect.count else Confidence.MEDIUM


def canary_effects(target: Target) -> tuple[Effect, ...]:
    """Return the canary routes of the plan. Raises ``Skipped`` if there is none: no OpenAPI document names them."""
    if not target.plan.effect and target.creates_nothing:
        raise NotApplicable("the OpenAPI document lists no route that creates something harmless: [[effect]]")
    if not target.plan.effect:
        unsafe = [route for route in target.routes if route.startswith("unsafe: ")]
        found = f" ({len(unsafe)} unsafe routes were found)" if unsafe else ""
        raise target.lacking(f"the plan names no canary route: [[effect]]{found}")
    return target.plan.effect


def effect_named(target: Target, name: str) -> Effect:
    """Return the effect of this name. Raises ``Skipped`` if the plan has none."""
    for effect in canary_effects(target):
        if effect.name == name:
            return effect
    raise Skipped(f"the plan has no effect named {name!r}")


def capture(target: Target, effect: Effect, headers: Mapping[str, str] | None = None, **more: str) -> CapturedRequest:
    """Return a new canary request. Nothing is sent yet."""
    values = target.values(**more)
    return CapturedRequest(effect, build(effect.request, values).with_headers(headers or {}), values)


def wait_until_allowed(target: Target, effect: Effect) -> None:
    """Send canary requests until one succeeds. Raises ``Inconclusive`` after ``PATIENCE`` seconds."""
    until = time.monotonic() + PATIENCE
    while not (answer := target.transport.send(capture(target, effect).request)).is_success:
        if answer.status_code not in (403, 503) or time.monotonic() > until:
            raise Inconclusive(f"{effect.request} answered {status_text(answer)}, so there is no effect to attack")
        time.sleep(0.25)


def count(target: Target, captured: CapturedRequest, answers: Sequence[httpx.Response]) -> int:
    """Return the number of effects: read back if the plan has ``count``, else taken from ``answers``."""
    read = captured.effect.count
    if read is None:
        return _count_in_answers(answers)
    request = build(captured.effect.request, captured.values)
    path = build(Call(read.path, "GET"), captured.values).path
    document = require_json(target.transport.send(Request("GET", path, _credentials(request))))
    if read.containing is not None:
        return _count_containing(document, fill(read.containing, captured.values))
    found = json_field(document, read.field) if isinstance(document, dict) else document
    if isinstance(found, list):
        return len(found)
    if isinstance(found, bool) or not isinstance(found, int):
        raise Inconclusive(f"GET {path.partition('?')[0]} has no number at {read.field!r}")
    return found


def count_text(number: int) -> str:
    """Return ``1 effect`` or ``3 effects``."""
    return f"{number} effect{'' if number == 1 else 's'}"


def _count_in_answers(answers: Sequence[httpx.Response]) -> int:
    """Count the 2xx responses with distinct bodies that are not marked as a repetition."""
    fresh = [one for one in answers if one.is_success and not any(mark in one.headers for mark in _REPLAYED)]
    return len({one.content for one in fresh}) if all(one.content for one in fresh) else len(fresh)


def _count_containing(document: object, text: str) -> int:
    """Return the largest number of items with this text in one list, at any depth of the document."""
    if isinstance(document, list):
        return max(sum(text in json.dumps(item) for item in document), 0)
    if isinstance(document, dict):
        return max((_count_containing(value, text) for value in document.values()), default=0)
    return 0


def _credentials(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple(header for header in request.headers if header[0].lower() in ("authorization", "cookie"))
