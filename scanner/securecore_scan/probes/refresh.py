"""Refresh tokens that were already replaced.

The checks count the refresh tokens that are alive in the end, and not the successful responses. A service may give a
client that lost a response another successor (RFC 9700 section 4.14.2; Cognito, Hydra and securecore do so), as long
as only one successor lives.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from securecore_scan.checks import Check, Severity
from securecore_scan.client import races, tokens
from securecore_scan.client.responses import count_statuses, is_refused, require_success, status_text
from securecore_scan.client.target import Target
from securecore_scan.client.transport import COPIES
from securecore_scan.outcomes import Inconclusive, NotApplicable, Outcome, outcome_of

ROUNDS = 2


def replaced_token(target: Target) -> Iterator[Outcome]:
    """Redeem a token, redeem its successor, then redeem the first token again. Works if the first is accepted."""
    first, _ = _replaced_and_newest(target)
    answer = tokens.redeem(target, first)
    seen = f"a token whose successor was used: {status_text(answer)}"
    yield outcome_of(not is_refused(answer), _subject(target), seen)


def family_after_reuse(target: Target) -> Iterator[Outcome]:
    """Present a replaced token, then redeem the newest token of its family. Works if the newest is accepted.

    One of the two clients is a thief, and the service cannot tell which, so the reuse must end the family.
    """
    first, newest = _replaced_and_newest(target)
    reuse = tokens.redeem(target, first)
    answer = tokens.redeem(target, newest)
    yield outcome_of(
        not is_refused(answer),
        _subject(target),
        f"a replaced token: {status_text(reuse)}; then the newest of its family: {status_text(answer)}",
    )


def redeemed_together(target: Target) -> Iterator[Outcome]:
    """Redeem one token in 16 concurrent requests. Works if two successors are alive afterwards."""

    def attack(send: races.Send) -> tuple[bool, str]:
        pair = tokens.request_family(target)
        answers = send([tokens.redemption(target, pair.refresh or "")] * COPIES)
        given = [tokens.read_tokens(target, answer).refresh for answer in answers if answer.is_success]
        if not given:
            raise Inconclusive(f"no copy was accepted: {count_statuses(answers)}")
        # A service without rotation returns the old token, or none. Then one token exists after any number of uses.
        successors = {token for token in given if token is not None and token != pair.refresh}
        alive = sum(not is_refused(tokens.redeem(target, token)) for token in sorted(successors))
        return alive > 1, (
            f"{COPIES} copies: {len(successors)} successors, {alive} of them alive ({count_statuses(answers)})"
        )

    race = races.run(target, target.rounds(ROUNDS), attack)
    yield outcome_of(race.worked, _subject(target), *race.evidence("more than one successor"))


def under_another_certificate(target: Target) -> Iterator[Outcome]:
    """Redeem the owner's token on the attacker's connection. Works if the token is accepted."""
    target.transport.require_certificates()
    pair = tokens.request_family(target)
    answer = tokens.redeem(target, pair.refresh or "", "second")
    yield outcome_of(not is_refused(answer), _subject(target), f"under another certificate: {status_text(answer)}")


def _replaced_and_newest(target: Target) -> tuple[str, str]:
    """Return a replaced token and the newest token of its family."""
    first = tokens.request_family(target).refresh or ""
    second = tokens.read_tokens(target, require_success(tokens.redeem(target, first))).refresh
    if second is None or second == first:
        raise NotApplicable("the service does not rotate refresh tokens: it must bind them (RFC 9700 section 2.2.2)")
    third = tokens.read_tokens(target, require_success(tokens.redeem(target, second))).refresh
    return first, third or second


def _subject(target: Target) -> str:
    return str(target.plan.tokens.refresh)


_check = partial(
    Check,
    category="token-replay",
    owasp="API2:2023",
    asvs=("10.4.5",),
    remedy="Redeem with one conditional UPDATE whose row count decides, and end the family when a replaced token is "
    "presented.",
    securecore="POST /oauth/token: rotates_refresh_tokens",
)
CHECKS = (
    _check(
        "SC-REFRESH-1",
        "Replaced refresh token",
        severity=Severity.HIGH,
        cwe=(294, 613),
        risk="A stolen refresh token gives access without end, beside its owner.",
        run=replaced_token,
    ),
    _check(
        "SC-REFRESH-2",
        "Refresh token redeemed by concurrent requests",
        severity=Severity.HIGH,
        cwe=(362, 294),
        risk="Thief and owner redeem in the same instant, both succeed, and the service never detects the theft.",
        run=redeemed_together,
    ),
    _check(
        "SC-REFRESH-3",
        "Family of refresh tokens after a reuse",
        severity=Severity.MEDIUM,
        cwe=(613,),
        risk="The service detects the reuse, but a thief who redeemed first keeps his access.",
        run=family_after_reuse,
    ),
    _check(
        "SC-REFRESH-4",
        "Refresh token under another certificate",
        severity=Severity.HIGH,
        cwe=(294,),
        risk="A stolen refresh token is enough: the thief redeems it with a certificate of his own.",
        remedy="Bind refresh tokens to the certificate of their client (RFC 8705 section 4).",
        run=under_another_certificate,
    ),
)
