"""The same request again.

A canary route is called with one key, nonce or timestamp, and then the very same bytes are sent again. Judged by the
effects that are read back, never by the answers alone where the plan says how to count: two answers may tell of one
effect (an idempotency key) and an error of an effect that happened all the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import httpx

from securecore_scan.client import effects, sessions, tokens
from securecore_scan.client.effects import Captured
from securecore_scan.client.target import Target, described, tallied
from securecore_scan.client.wire import COPIES
from securecore_scan.estimates import rounds_said
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, judged

#: Rounds of copies that arrive together. More make a rarer race visible: --deep.
ROUNDS = 3
#: Seconds ago: older than any window that is worth having.
STALE = 3600


def in_a_row(target: Target) -> Iterator[Seen]:
    """Three times, one after another. Works if there are two effects or more."""
    for effect in effects.effects(target):
        effects.ready(target, effect)
        captured = effects.capture(target, effect)
        answers = [target.wire.send(captured.request) for _ in range(3)]
        number = _counted(target, captured, answers)
        yield judged(
            number > 1,
            captured.subject,
            f"the same request 3 times in a row: {effects.said(number)} ({tallied(answers)})",
            confidence=captured.confidence,
        )


def at_once(target: Target) -> Iterator[Seen]:
    """Sixteen copies whose last bytes arrive together, in several rounds. Works if one round has two effects."""
    for effect in effects.effects(target):
        effects.ready(target, effect)
        rounds, doubled, worst = target.rounds(ROUNDS), 0, ""
        for done in range(1, rounds + 1):
            captured = effects.capture(target, effect)
            answers = target.wire.at_once([captured.request] * COPIES)
            number = _counted(target, captured, answers)
            doubled += number > 1
            worst = f"{effects.said(number)} of {len(answers)} copies ({tallied(answers)})"
            if doubled:
                rounds = done
                break
        yield judged(
            doubled > 0,
            captured.subject,
            f"last bytes synchronised over {COPIES} connections: {worst}",
            f"more than one effect {rounds_said(doubled, rounds)}",
            confidence=captured.confidence,
        )


def by_somebody_else(target: Target) -> Iterator[Seen]:
    """A request with the owner's token, or else session, sent again under another certificate. Works if the copy has an
    effect: the credentials in it were taken from somebody who never had them.
    """
    for effect in effects.effects(target):
        effects.ready(target, effect)
        kind, headers = _credentials(target)
        captured = effects.capture(target, effect, headers)
        effects.perform(target, captured)
        # With a nonce and a key of its own: the copy is refused for whose it is, not for being the second.
        values = target.values() | {"canary": captured.values["canary"]}
        stolen = target.prepared(effect.request, values).with_headers(**headers)
        before = effects.count(target, captured, ())
        answer = target.wire.send(stolen, "second")
        gained = effects.count(target, captured, ()) - before
        yield judged(
            gained > 0,
            captured.subject,
            f"with the owner's {kind} under another certificate: {described(answer)}, {effects.said(gained)}",
            confidence=captured.confidence,
        )


def as_early_data(target: Target) -> Iterator[Seen]:
    """The request as if it had come before the handshake ended (RFC 8470), then once more without. Works if there are
    two effects. Refused with 425 it has at most the second.
    """
    for effect in effects.effects(target):
        effects.ready(target, effect)
        captured = effects.capture(target, effect)
        early = target.wire.send(captured.request.with_headers(Early_Data="1"))
        late = target.wire.send(captured.request)
        number = _counted(target, captured, [early, late])
        yield judged(
            number > 1,
            captured.subject,
            f"with Early-Data: 1, then without: {effects.said(number)} ({described(early)}, then {described(late)})",
            confidence=captured.confidence,
        )


def stale(target: Target) -> Iterator[Seen]:
    """A request whose timestamp is an hour old, with a nonce nobody saw. Works if it has an effect: then a nonce would
    have to be remembered for ever.
    """
    timed = [effect for effect in effects.effects(target) if "{timestamp}" in str(effect.request.headers)]
    if not timed:
        raise Skipped("no canary route of the plan sends a {timestamp}")
    for effect in timed:
        effects.ready(target, effect)
        captured = effects.capture(target, effect, timestamp=str(int(time.time()) - STALE))
        answer = target.wire.send(captured.request)
        number = effects.count(target, captured, [answer])
        yield judged(
            number > 0,
            captured.subject,
            f"a timestamp {STALE} s old: {described(answer)}, {effects.said(number)}",
            confidence=captured.confidence,
        )


def _counted(target: Target, captured: Captured, answers: list[httpx.Response]) -> int:
    number = effects.count(target, captured, answers)
    if number == 0:
        raise NotJudged(f"{captured.subject} had no effect at all: {tallied(answers)}")
    return number


def _credentials(target: Target) -> tuple[str, dict[str, str]]:
    try:
        return "token", tokens.ask(target).header
    except Skipped:
        return "session", sessions.log_in(target).header


_check = partial(
    Check,
    category="request-replay",
    cwe=(294,),
    owasp="API6:2023",
    remedy="Demand an idempotency key or a nonce for each state-changing request, claim it by an insert under a unique "
    "constraint before or with the effect, and answer a repetition without running again.",
    securecore="@idempotent on the view, or @fresh where a repetition must be refused",
)
CHECKS = (
    _check(
        "SC-REPLAY-1",
        "The same request in a row",
        severity=Severity.HIGH,
        asvs=("2.3.3", "12.3.5"),
        risk="A captured request works again: a payment is made twice.",
        run=in_a_row,
    ),
    _check(
        "SC-REPLAY-2",
        "The same request at once",
        severity=Severity.HIGH,
        asvs=("2.3.4", "15.4.2"),
        risk="Copies that arrive together pass a check that comes before the record of it.",
        run=at_once,
    ),
    _check(
        "SC-REPLAY-3",
        "A captured request under another certificate",
        severity=Severity.CRITICAL,
        asvs=("10.3.5",),
        risk="Whoever reads a request acts as its sender.",
        remedy="Bind every token and session to the certificate it was issued under, and compare at each request.",
        securecore='AccessTokenAuthentication; SESSION_ENGINE = "securecore.sessions"',
        run=by_somebody_else,
    ),
    _check(
        "SC-REPLAY-4",
        "A request sent as early data",
        severity=Severity.MEDIUM,
        asvs=("2.3.3",),
        risk="TLS 1.3 lets anybody on the path send early data again.",
        remedy="Turn early data off (ssl_early_data off), or answer 425 to what is unsafe; make the effect idempotent.",
        securecore="ClientCertificateMiddleware answers 425; nginx/proxied.conf passes Early-Data on",
        run=as_early_data,
    ),
    _check(
        "SC-REPLAY-5",
        "A request from an hour ago",
        severity=Severity.MEDIUM,
        asvs=("2.3.3",),
        risk="A nonce is forgotten some day; without a window in time the request works again then.",
        remedy="Refuse timestamps outside a small window, and remember nonces for the window on both sides.",
        securecore="@fresh; TIMESTAMP_WINDOW",
        run=stale,
    ),
)
