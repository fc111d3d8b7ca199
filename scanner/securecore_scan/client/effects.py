"""Something that changes, and how many times it did."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from securecore_scan.client.target import Target, at, body, described, granted
from securecore_scan.client.wire import Request
from securecore_scan.plan import Call, Effect
from securecore_scan.verdict import Confidence, NotJudged, Skipped

#: Seconds that a service may need to see a permission again that was just given back.
PATIENCE = 8.0


@dataclass(frozen=True)
class Captured:
    """A request as somebody on its way would have it, with the values that were filled in."""

    effect: Effect
    request: Request
    values: dict[str, str]

    @property
    def subject(self) -> str:
        return str(self.effect.request)

    @property
    def confidence(self) -> Confidence:
        return Confidence.HIGH if self.effect.count else Confidence.MEDIUM


def effects(target: Target) -> tuple[Effect, ...]:
    """Return the plan's canary routes. Raises ``Skipped``: no document says which effect does no harm."""
    if not target.plan.effect:
        unsafe = [route for route in target.routes if route.startswith("unsafe: ")]
        found = f" ({len(unsafe)} unsafe routes were found)" if unsafe else ""
        raise Skipped(f"the plan names no canary route: [[effect]]{found}")
    return target.plan.effect


def named(target: Target, name: str) -> Effect:
    """Return the effect of this name. Raises ``Skipped``."""
    for effect in effects(target):
        if effect.name == name:
            return effect
    raise Skipped(f"the plan has no effect named {name!r}")


def capture(target: Target, effect: Effect, headers: dict[str, str] | None = None, **more: str) -> Captured:
    """Return a request that was not sent yet."""
    values = target.values(**more)
    request = target.prepared(effect.request, values)
    for name, value in (headers or {}).items():
        request = request.with_headers(**{name: value})
    return Captured(effect, request, values)


def ready(target: Target, effect: Effect) -> None:
    """Wait until the owner may. Raises ``NotJudged`` if that takes too long."""
    until = time.monotonic() + PATIENCE
    while not (answer := target.wire.send(capture(target, effect).request)).is_success:
        if answer.status_code not in (403, 503) or time.monotonic() > until:
            raise NotJudged(f"{effect.request} answered {described(answer)}, so there is no effect to attack")
        time.sleep(0.25)


def count(target: Target, captured: Captured, answers: Sequence[httpx.Response]) -> int:
    """Return how many effects a captured request had: read back if the plan says how, else judged by the answers."""
    read = captured.effect.count
    if read is None:
        return _answered(answers)
    request = target.prepared(captured.effect.request, captured.values)
    path = target.prepared(Call(read.path, "GET"), captured.values).path
    document = body(target.wire.send(Request("GET", path, _credentials(request))))
    found = at(document, read.field) if isinstance(document, dict) else document
    if isinstance(found, list):
        return len(found)
    if isinstance(found, bool) or not isinstance(found, int):
        raise NotJudged(f"GET {path.partition('?')[0]} has no number at {read.field!r}")
    return found


def said(number: int) -> str:
    """Return a number of effects in words."""
    return f"{number} effect{'' if number == 1 else 's'}"


def perform(target: Target, captured: Captured) -> httpx.Response:
    """Send it once; what follows is a replay. Raises ``NotJudged`` if it has no effect."""
    return granted(target.wire.send(captured.request))


def _answered(answers: Sequence[httpx.Response]) -> int:
    """Count the distinct successes that do not say that they are a repetition."""
    marks = ("idempotency-replayed", "idempotent-replayed", "x-idempotency-replayed")
    fresh = [one for one in answers if one.is_success and not any(mark in one.headers for mark in marks)]
    return len({one.content for one in fresh}) if all(one.content for one in fresh) else len(fresh)


def _credentials(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple(header for header in request.headers if header[0].lower() in ("authorization", "cookie"))
