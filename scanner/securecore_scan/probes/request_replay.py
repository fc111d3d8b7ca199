"""Requests that are sent again.

The scanner sends a canary request with one key, nonce or timestamp, and then the same bytes again. It counts effects
by reading them back if the plan has ``count``, because responses mislead: with an idempotency key two 201 responses
belong to one effect, and an error response may belong to an effect that happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx

from securecore_scan.checks import Check, Severity
from securecore_scan.client import early_data, effects, races, sessions, tokens
from securecore_scan.client.effects import CapturedRequest
from securecore_scan.client.request import build
from securecore_scan.client.responses import count_statuses, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.client.transport import COPIES
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, Skipped, outcome_of, passed
from securecore_scan.plan import Effect

#: Rounds of concurrent copies. More rounds (--deep) find rarer races.
ROUNDS = 3
#: Seconds: older than any reasonable acceptance window.
STALE = 3600
#: Pairs of early data, of which each must have two effects.
_PAIRS = 3


def three_in_a_row(target: Target) -> Iterator[Outcome]:
    """Send the same request three times, one after another. Works if there is more than one effect."""
    for effect in effects.canary_effects(target):
        effects.wait_until_allowed(target, effect)
        captured = effects.capture(target, effect)
        answers = [target.transport.send(captured.request) for _ in range(3)]
        number = _count_some(target, captured, answers)
        yield outcome_of(
            number > 1,
            captured.subject,
            f"the same request 3 times in a row: {effects.count_text(number)} ({count_statuses(answers)})",
            confidence=captured.confidence,
        )


def sixteen_together(target: Target) -> Iterator[Outcome]:
    """Send 16 copies that arrive together, in several rounds. Works if one round has two effects."""
    for effect in effects.canary_effects(target):
        effects.wait_until_allowed(target, effect)

        def attack(send: races.Send, effect: Effect = effect) -> tuple[bool, str]:
            captured = effects.capture(target, effect)
            answers = send([captured.request] * COPIES)
            number = _count_some(target, captured, answers)
            return number > 1, f"{effects.count_text(number)} of {len(answers)} copies ({count_statuses(answers)})"

        race = races.run(target, target.rounds(ROUNDS), attack)
        captured = effects.capture(target, effect)
        evidence = race.evidence("more than one effect")
        yield outcome_of(race.worked, captured.subject, *evidence, confidence=captured.confidence)


def under_another_certificate(target: Target) -> Iterator[Outcome]:
    """Send a request with the owner's token, or session cookie, again under the attacker's certificate.

    Works if the copy has an effect: the service accepts stolen credentials.
    """
    target.transport.require_certificates()
    for effect in effects.canary_effects(target):
        effects.wait_until_allowed(target, effect)
        kind, headers = _credentials(target)
        captured = effects.capture(target, effect, headers)
        require_success(target.transport.send(captured.request))
        # The copy has a new nonce and key: a refusal then concerns the certificate and not the repetition.
        values = target.values() | {"canary": captured.values["canary"]}
        stolen = build(effect.request, values).with_headers(headers)
        before = effects.count(target, captured, ())
        answer = target.transport.send(stolen, "second")
        gained = effects.count(target, captured, ()) - before
        yield outcome_of(
            gained > 0,
            captured.subject,
            f"with the owner's {kind} under another certificate: {status_text(answer)}, {effects.count_text(gained)}",
            confidence=captured.confidence,
        )


def as_early_data(target: Target) -> Iterator[Outcome]:
    """Send a request as real TLS early data, and then the same early data again. Works if there are two effects.

    A port that offers no early data, or rejects it, passes. So does a service that answers it with 425 (RFC 8470).
    """
    if not target.transport.is_tls:
        raise NotApplicable("plain http has no early data")
    canaries = effects.canary_effects(target)
    with early_data.temporary_folder() as folder:
        connection = early_data.EarlyData(target.transport, Path(folder))
        if not connection.is_offered():
            yield passed(target.transport.origin, "the port offers no early data")
            return
        for effect in canaries:
            yield _sent_early(target, connection, effect)


def _sent_early(target: Target, connection: early_data.EarlyData, effect: Effect) -> Outcome:
    """Send pairs of equal early data. Works if each of three pairs has two effects.

    If the end of the handshake arrives before the proxy reads the request, the proxy passes an ordinary request on, and
    the service cannot know of the early data. On a busy host that happens to one pair, but not to three in a row.
    """
    for _ in range(_PAIRS):
        effects.wait_until_allowed(target, effect)
        captured = effects.capture(target, effect)
        answers = [connection.send(captured.request) for _ in range(2)]
        if not any(answer.accepted for answer in answers):
            return passed(captured.subject, "the port rejected the early data")
        number = effects.count(target, captured, ()) if effect.count else _successes(answers)
        if number <= 1:
            break
    said = ", then ".join(f"{answer.status or 'no response'}" for answer in answers)
    return outcome_of(
        number > 1,
        captured.subject,
        f"the same early data twice: {effects.count_text(number)} ({said})",
        confidence=captured.confidence,
    )


def _successes(answers: list[early_data.EarlyAnswer]) -> int:
    return sum(answer.status is not None and 200 <= answer.status < 300 for answer in answers)


def old_timestamp(target: Target) -> Iterator[Outcome]:
    """Send a request with a new nonce and a timestamp of an hour ago. Works if the request has an effect.

    A service that accepts it would have to remember every nonce without end.
    """
    timed = [effect for effect in effects.canary_effects(target) if "{timestamp}" in str(effect.request.headers)]
    if not timed:
        raise NotApplicable("no canary route sends a {timestamp}")
    for effect in timed:
        effects.wait_until_allowed(target, effect)
        captured = effects.capture(target, effect, timestamp=str(int(time.time()) - STALE))
        answer = target.transport.send(captured.request)
        number = effects.count(target, captured, [answer])
        yield outcome_of(
            number > 0,
            captured.subject,
            f"a timestamp {STALE} s old: {status_text(answer)}, {effects.count_text(number)}",
            confidence=captured.confidence,
        )


def _count_some(target: Target, captured: CapturedRequest, answers: list[httpx.Response]) -> int:
    """Return the number of effects. Raises ``Inconclusive`` for zero: a request that fails shows no protection."""
    number = effects.count(target, captured, answers)
    if number == 0:
        raise Inconclusive(f"{captured.subject} had no effect at all: {count_statuses(answers)}")
    return number


def _credentials(target: Target) -> tuple[str, dict[str, str]]:
    try:
        return "token", tokens.request_tokens(target).header
    except Skipped:
        return "session", sessions.log_in(target).header


_check = partial(
    Check,
    category="request-replay",
    cwe=(294,),
    owasp="API6:2023",
    remedy="Demand an idempotency key or a nonce for each state-changing request. Claim it by an insert under a unique "
    "constraint, before or with the effect, and answer a repetition without running the effect again.",
    securecore="@idempotent on the view, or @fresh where a repetition must be refused",
)
CHECKS = (
    _check(
        "SC-REPLAY-1",
        "Same request in a row",
        severity=Severity.HIGH,
        asvs=("2.3.3", "12.3.5"),
        risk="A captured request works again: a payment is made twice.",
        run=three_in_a_row,
    ),
    _check(
        "SC-REPLAY-2",
        "Same request, concurrent copies",
        severity=Severity.HIGH,
        asvs=("2.3.4", "15.4.2"),
        risk="Copies that arrive together all pass the check, before the first of them is recorded.",
        run=sixteen_together,
    ),
    _check(
        "SC-REPLAY-3",
        "Captured request under another certificate",
        severity=Severity.CRITICAL,
        asvs=("10.3.5",),
        risk="An attacker who reads a request can act as its sender.",
        remedy="Bind every token and session to the certificate it was issued under, and compare at each request.",
        securecore='AccessTokenAuthentication; SESSION_ENGINE = "securecore.sessions"',
        run=under_another_certificate,
    ),
    _check(
        "SC-REPLAY-4",
        "Request sent as early data",
        severity=Severity.MEDIUM,
        asvs=("2.3.3",),
        risk="TLS 1.3 lets an attacker on the path send early data again.",
        remedy="Turn early data off (ssl_early_data off), or answer unsafe requests in early data with 425; make the "
        "effect idempotent.",
        securecore="ClientCertificateMiddleware answers 425; nginx/proxied.conf passes Early-Data on",
        run=as_early_data,
    ),
    _check(
        "SC-REPLAY-5",
        "Request from an hour ago",
        severity=Severity.MEDIUM,
        asvs=("2.3.3",),
        risk="Once the service forgets the nonce, the request works again.",
        remedy="Refuse timestamps outside a small window, and remember nonces for the window on both sides.",
        securecore="@fresh; TIMESTAMP_WINDOW",
        run=old_timestamp,
    ),
)
