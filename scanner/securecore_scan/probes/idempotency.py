"""The meaning of idempotency keys: one key, one body, one user, one effect."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from securecore_scan.checks import Check, Severity
from securecore_scan.client import effects, lost_response, races
from securecore_scan.client.effects import CapturedRequest
from securecore_scan.client.request import build
from securecore_scan.client.responses import count_statuses, is_refused, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, Verdict, inconclusive, outcome_of, skipped
from securecore_scan.plan import Effect

COPIES, ROUNDS = 8, 3
#: Seconds after which a client hangs up; None: when the response begins to arrive, so that the effect is certain.
HANG_UPS: tuple[float | None, ...] = (0.0, 0.005, 0.025, None)
#: Statuses of a request that is still in progress, or that decided nothing. Seconds between repetitions.
_OVERLOADED = (429, 503)
_UNDECIDED, _PAUSE = (409, 425, *_OVERLOADED), 0.2


def other_body(target: Target) -> Iterator[Outcome]:
    """Send another body under a used key. Works if it is answered 2xx, whether it has an effect or not."""
    for effect in _keyed(target):
        first = effects.capture(target, effect)
        require_success(target.transport.send(first.request))
        second = effects.capture(target, effect, key=first.values["key"])
        answer = target.transport.send(second.request)
        gained = effects.count(target, second, [answer])
        yield outcome_of(
            not is_refused(answer),
            second.subject,
            f"another body under a used key: {status_text(answer)}, {effects.count_text(gained)}",
            confidence=second.confidence,
        )


def other_user(target: Target) -> Iterator[Outcome]:
    """Send the owner's request, with its key, as another user. Works if the other user gets the owner's response."""
    for effect in _keyed(target):
        first = effects.capture(target, effect)
        mine = require_success(target.transport.send(first.request))
        fresh = target.values() | {"canary": first.values["canary"]}
        again = require_success(target.transport.send(build(effect.request, fresh)))
        if mine.content == again.content:
            yield inconclusive(first.subject, "two effects have the same response, so none shows its user")
            continue
        # With an own key, the other user gets an answer of his own: a refusal then concerns no key.
        theirs = target.values("second") | {"canary": first.values["canary"], "key": first.values["key"]}
        answer = target.transport.send(build(effect.request, theirs), "second")
        yield outcome_of(
            answer.content == mine.content,
            first.subject,
            f"the owner's key as another user: {status_text(answer)}, "
            f"{'the' if answer.content == mine.content else 'not the'} owner's response",
        )


def bodies_together(target: Target) -> Iterator[Outcome]:
    """Send bodies that differ under one key, together. Works if more than one is answered 2xx."""
    for effect in _keyed(target):

        def attack(send: races.Send, effect: Effect = effect) -> tuple[bool, str]:
            key = target.values()["key"]
            answers = send([effects.capture(target, effect, key=key).request for _ in range(COPIES)])
            accepted = sum(answer.is_success for answer in answers)
            if accepted == 0:
                raise Inconclusive(f"{effect.request} never succeeded: {count_statuses(answers)}")
            return accepted > 1, f"{COPIES} bodies under one key: {count_statuses(answers)}"

        race = races.run(target, target.rounds(ROUNDS), attack)
        yield outcome_of(race.worked, str(effect.request), *race.evidence("more than one"))


def after_failure(target: Target) -> Iterator[Outcome]:
    """Send a request that fails with a 5xx, and the request again under the same key.

    Works if the repetition is not answered 2xx, or if there is not exactly one effect: the key was burnt by the
    failure, or the failed request had its effect.
    """
    for effect in _keyed(target):
        if effect.failing is None:
            yield skipped(str(effect.request), "the plan names no request that fails with a 5xx: [effect] failing")
            continue
        captured = effects.capture(target, effect)
        failed = target.transport.send(build(effect.failing, captured.values))
        if failed.status_code < 500:
            yield inconclusive(captured.subject, f"the failing request answered {status_text(failed)}, and no 5xx")
            continue
        yield _completed(target, captured, f"after {status_text(failed)}")


def after_lost_response(target: Target) -> Iterator[Outcome]:
    """Send a request, hang up at once or after a moment, and send the request again under the same key.

    Works if the repetition is not answered 2xx within ``PATIENCE``, or if there is not exactly one effect.
    """
    for effect in _keyed(target):
        outcome = None
        for seconds in HANG_UPS:
            captured = effects.capture(target, effect)
            lost_response.send(target.transport, captured.request, seconds)
            moment = "when the response arrived" if seconds is None else f"after {seconds * 1000:.0f} ms"
            outcome = _completed(target, captured, f"hung up {moment}")
            if outcome.verdict is not Verdict.PASS:
                break
        if outcome is not None:
            yield outcome


def _completed(target: Target, captured: CapturedRequest, before: str) -> Outcome:
    """Repeat a request until it is decided, and judge its response and the number of its effects."""
    until = time.monotonic() + effects.PATIENCE
    while (answer := target.transport.send(captured.request)).status_code in _UNDECIDED:
        if time.monotonic() > until:
            break
        time.sleep(_PAUSE)
    said = f"{before}, then the same request: {status_text(answer)}"
    if answer.status_code in _OVERLOADED:
        return inconclusive(captured.subject, f"{said}: the service has no time to answer")
    if not answer.is_success:
        return outcome_of(True, captured.subject, f"{said}; the key is of no use any more")
    if captured.effect.count is None:
        return inconclusive(captured.subject, f"{said}; without [effect] count the effects cannot be counted")
    number = effects.count(target, captured, ())
    return outcome_of(number != 1, captured.subject, f"{said}, {effects.count_text(number)}")


def _keyed(target: Target) -> tuple[Effect, ...]:
    keyed = tuple(one for one in effects.canary_effects(target) if "{key}" in str(one.request.headers))
    if not keyed:
        raise NotApplicable("no canary route sends an idempotency key")
    for effect in keyed:
        effects.wait_until_allowed(target, effect)
    return keyed


_check = partial(
    Check,
    category="idempotency",
    owasp="API6:2023",
    asvs=("2.3.3",),
    securecore="@idempotent",
)
CHECKS = (
    _check(
        "SC-IDEM-1",
        "Other body under a used key",
        severity=Severity.MEDIUM,
        cwe=(841,),
        risk="A client that reuses a key by mistake is told that its second order was placed, or places it twice.",
        remedy="Store a fingerprint of the request with the key, and answer another body with 422.",
        run=other_body,
    ),
    _check(
        "SC-IDEM-2",
        "Key of another user",
        severity=Severity.HIGH,
        cwe=(200, 639),
        risk="A user reads the response of another user by guessing a key.",
        remedy="Make the key unique for each user and route, and check the permission before the stored response.",
        run=other_user,
    ),
    _check(
        "SC-IDEM-3",
        "Concurrent bodies under one key",
        severity=Severity.MEDIUM,
        cwe=(362,),
        asvs=("2.3.4", "15.4.2"),
        risk="Requests that arrive together all find the key unused.",
        remedy="Claim the key by an insert under a unique constraint, in the transaction of the effect.",
        run=bodies_together,
    ),
    _check(
        "SC-IDEM-4",
        "Key after a 5xx",
        severity=Severity.MEDIUM,
        cwe=(841,),
        risk="A client cannot complete its order, or completes it twice, because an attempt failed half way.",
        remedy="Commit key, effect and response in one transaction: a failure leaves nothing. Never store a 5xx.",
        run=after_failure,
    ),
    _check(
        "SC-IDEM-5",
        "Key after a lost response",
        severity=Severity.HIGH,
        cwe=(841,),
        risk="A client that lost its network repeats the order, and it is placed twice, or never.",
        remedy="Commit key, effect and response in one transaction, and let a repetition wait for it.",
        run=after_lost_response,
    ),
)
