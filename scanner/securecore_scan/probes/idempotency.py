"""The meaning of idempotency keys: one key, one body, one user, one effect."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from securecore_scan.checks import Check, Severity
from securecore_scan.client import effects, races
from securecore_scan.client.request import build
from securecore_scan.client.responses import count_statuses, is_refused, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, inconclusive, outcome_of
from securecore_scan.plan import Effect

COPIES, ROUNDS = 8, 3


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
)
