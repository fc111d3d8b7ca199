"""A refresh token that was already replaced.

Judged by what is alive in the end, not by the answers: a service may give a client that lost an answer another
successor (RFC 9700 section 4.14.2 and Cognito, Hydra and securecore do), as long as one of them lives.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from securecore_scan.client import tokens
from securecore_scan.client.target import Target, described, granted, refused, tallied
from securecore_scan.client.wire import COPIES
from securecore_scan.estimates import rounds_said
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, judged

ROUNDS = 2


def after_its_successor(target: Target) -> Iterator[Seen]:
    """Redeem a token, redeem its successor, then redeem the first again. Works if the first is accepted."""
    first, _ = _line(target)
    answer = tokens.spend(target, first)
    yield judged(not refused(answer), _subject(target), f"a token whose successor was used: {described(answer)}")


def reuse_ends_the_family(target: Target) -> Iterator[Seen]:
    """After a replaced token was presented, redeem the newest. Works if that is accepted: one of the two is a thief,
    and nobody knows which.
    """
    first, newest = _line(target)
    reuse = tokens.spend(target, first)
    answer = tokens.spend(target, newest)
    yield judged(
        not refused(answer),
        _subject(target),
        f"a replaced token: {described(reuse)}; then the newest of its family: {described(answer)}",
    )


def at_once(target: Target) -> Iterator[Seen]:
    """Redeem one token in sixteen connections, last bytes synchronised. Works if two successors live."""
    rounds, split, seen = target.rounds(ROUNDS), 0, ""
    for done in range(1, rounds + 1):
        pair = tokens.family(target)
        answers = tokens.spend_at_once(target, pair.refresh or "", COPIES)
        given = [tokens.read(target, answer).refresh for answer in answers if answer.is_success]
        if not given:
            raise NotJudged(f"no copy was accepted: {tallied(answers)}")
        # A service that gives no new one keeps the old one: then there is one, however often it was redeemed.
        successors = {token for token in given if token is not None and token != pair.refresh}
        alive = sum(not refused(tokens.spend(target, token)) for token in sorted(successors))
        split += alive > 1
        seen = f"{COPIES} copies: {len(successors)} successors, {alive} of them alive ({tallied(answers)})"
        if split:
            rounds = done
            break
    yield judged(split > 0, _subject(target), seen, f"more than one successor {rounds_said(split, rounds)}")


def under_another_certificate(target: Target) -> Iterator[Seen]:
    """Redeem a token on somebody else's connection. Works if it is accepted."""
    if not target.wire.is_tls:
        raise Skipped("plain http has no certificates")
    pair = tokens.family(target)
    answer = tokens.spend(target, pair.refresh or "", "second")
    yield judged(not refused(answer), _subject(target), f"under another certificate: {described(answer)}")


def _line(target: Target) -> tuple[str, str]:
    """Return a replaced token and the newest of its family."""
    first = tokens.family(target).refresh or ""
    second = tokens.read(target, granted(tokens.spend(target, first))).refresh
    if second is None or second == first:
        raise Skipped("refresh tokens are not replaced here: their binding must protect them (RFC 9700 section 2.2.2)")
    third = tokens.read(target, granted(tokens.spend(target, second))).refresh
    return first, third or second


def _subject(target: Target) -> str:
    return str(target.plan.tokens.refresh)


_ONE = (
    "Redeem with one conditional UPDATE whose row count decides, and end the family when a replaced token comes back."
)

_check = partial(
    Check,
    category="token-replay",
    owasp="API2:2023",
    asvs=("10.4.5",),
    remedy=_ONE,
    securecore="POST /oauth/token: rotates_refresh_tokens",
)
CHECKS = (
    _check(
        "SC-REFRESH-1",
        "A replaced refresh token",
        severity=Severity.HIGH,
        cwe=(294, 613),
        risk="A stolen refresh token gives access for ever, beside its owner.",
        run=after_its_successor,
    ),
    _check(
        "SC-REFRESH-2",
        "One refresh token at once",
        severity=Severity.HIGH,
        cwe=(362, 294),
        risk="Thief and owner redeem in the same instant, both succeed, and nobody ever notices.",
        run=at_once,
    ),
    _check(
        "SC-REFRESH-3",
        "A family after a reuse",
        severity=Severity.MEDIUM,
        cwe=(613,),
        risk="The reuse was noticed, and the thief who redeemed first goes on.",
        run=reuse_ends_the_family,
    ),
    _check(
        "SC-REFRESH-4",
        "A refresh token under another certificate",
        severity=Severity.HIGH,
        cwe=(294,),
        risk="A refresh token that was read somewhere is enough.",
        remedy="Bind refresh tokens to the certificate of their client (RFC 8705 section 4).",
        run=under_another_certificate,
    ),
)
