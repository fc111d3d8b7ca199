"""A token after its end, in other hands, in a URL, for too long.

Each check first sees the token work and sees the route refuse a request without one: else an answer proves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from securecore_scan.client import jws, tokens
from securecore_scan.client.target import Target, described, granted, refused
from securecore_scan.verdict import Check, NotJudged, Seen, Severity, Skipped, held, judged


def after_revocation(target: Target) -> Iterator[Seen]:
    """Use a token after the service said that it is revoked, or logged out. Works if it is accepted."""
    pair = tokens.honest(target)
    called = tokens.give_back(target, pair.access, pair=pair)
    answer = tokens.use(target, pair.access, scheme=pair.scheme)
    yield judged(not refused(answer), tokens.subject(target), f"after {called}: {described(answer)}")


def after_its_refresh_token(target: Target) -> Iterator[Seen]:
    """Use an access token after its refresh token was revoked (RFC 7009 section 2.1). Works if it is accepted."""
    target.once(tokens.honest)
    pair = tokens.family(target)
    granted(tokens.use(target, pair.access, scheme=pair.scheme))
    called = tokens.give_back(target, pair.refresh or "", pair=pair)
    answer = tokens.use(target, pair.access, scheme=pair.scheme)
    yield judged(
        not refused(answer), tokens.subject(target), f"after {called} with its refresh token: {described(answer)}"
    )


def under_another_certificate(target: Target) -> Iterator[Seen]:
    """Use a token on somebody else's connection. Works if it is accepted."""
    yield _elsewhere(target, "second", "under another certificate")


def without_certificate(target: Target) -> Iterator[Seen]:
    """Use a token on a connection without a certificate. Works if it is accepted."""
    if target.wire.is_tls and not target.answers_without_certificate():
        yield held(tokens.subject(target), "the port takes no connection without a certificate")
        return
    yield _elsewhere(target, "nobody", "without a certificate")


def in_the_url(target: Target) -> Iterator[Seen]:
    """Send the token as a query parameter, by the usual names. Works if one is accepted."""
    pair = tokens.honest(target)
    path = tokens.used_at(target)
    answers = {}
    for name in ("access_token", "token", "jwt", "auth"):
        answers[name] = target.get(f"{path}{'&' if '?' in path else '?'}{name}={pair.access}")
    accepted = [name for name, answer in answers.items() if not refused(answer)]
    seen = ", ".join(f"?{name}= {described(answer)}" for name, answer in answers.items())
    yield judged(bool(accepted), tokens.subject(target), seen)


def long_life(target: Target) -> Iterator[Seen]:
    """Read how long a token lives. Longer than the plan's longest_life (an hour by default) is long."""
    pair = tokens.honest(target)
    found = jws.parts(pair.access)
    expires = found[1].get("exp") if found else None
    if found is None:
        raise Skipped("the token is no JWT: what it says of its life cannot be read")
    if not isinstance(expires, int | float):
        yield judged(True, tokens.subject(target), "the token has no exp")
        return
    seconds = expires - time.time()
    longest = target.plan.tokens.longest_life
    yield judged(seconds > longest, tokens.subject(target), f"good for {seconds:.0f} s; {longest} s are taken for long")


def without_jti(target: Target) -> Iterator[Seen]:
    """Read whether a token has a jti: what has no name cannot be revoked."""
    pair = tokens.honest(target)
    found = jws.parts(pair.access)
    if found is None:
        raise Skipped("the token is no JWT")
    yield judged(not found[1].get("jti"), tokens.subject(target), "jti" if found[1].get("jti") else "no jti")


def _elsewhere(target: Target, who: str, said: str) -> Seen:
    if not target.wire.is_tls:
        raise Skipped("plain http has no certificates")
    pair = tokens.honest(target)
    answer = tokens.use(target, pair.access, who, scheme=pair.scheme)
    # Still good for its owner: what was refused was the thief, not a token that ended meanwhile.
    if refused(tokens.use(target, pair.access, scheme=pair.scheme)):
        raise NotJudged("the token ended meanwhile")
    return judged(not refused(answer), tokens.subject(target), f"{said}: {described(answer)}")


_BIND = "Bind tokens to the certificate (RFC 8705: cnf, x5t#S256) or to a key (RFC 9449), and compare at each request."

_check = partial(Check, category="token-replay", owasp="API2:2023", cwe=(294,))
CHECKS = (
    _check(
        "SC-TOKEN-1",
        "A token after its revocation or logout",
        severity=Severity.HIGH,
        cwe=(613, 294),
        asvs=("7.4.1", "10.4.9"),
        risk="A stolen token works until it expires, whatever its owner does.",
        remedy="Keep revoked jti values until they expire, in a store that all instances share.",
        securecore="AccessTokenAuthentication; securecore.revocation.revoke_token",
        run=after_revocation,
    ),
    _check(
        "SC-TOKEN-2",
        "An access token after its refresh token was revoked",
        severity=Severity.MEDIUM,
        cwe=(613,),
        asvs=("7.4.1", "10.4.9"),
        risk="Logging out ends the refresh token, and leaves a thief what he has.",
        remedy="Let the access token name its family, and refuse it when the family has ended.",
        securecore="AccessTokenAuthentication; securecore.revocation.revoke_family",
        run=after_its_refresh_token,
    ),
    _check(
        "SC-TOKEN-3",
        "A token under another certificate",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="Whoever has a certificate of his own and somebody else's token is somebody else.",
        remedy=_BIND,
        securecore="AccessTokenAuthentication",
        run=under_another_certificate,
    ),
    _check(
        "SC-TOKEN-4",
        "A token without a certificate",
        severity=Severity.HIGH,
        asvs=("10.3.5",),
        risk="A token that was read somewhere is enough.",
        remedy=_BIND,
        securecore="AccessTokenAuthentication",
        run=without_certificate,
    ),
    _check(
        "SC-TOKEN-5",
        "A token in the URL",
        severity=Severity.MEDIUM,
        cwe=(598,),
        asvs=("14.2.1",),
        risk="A token in a URL is a token in every log, history and Referer on its way.",
        remedy="Take tokens from the Authorization header only, and refuse those in a query string.",
        securecore="ClientCertificateMiddleware refuses them: token-in-url",
        run=in_the_url,
    ),
    _check(
        "SC-TOKEN-6",
        "A long life",
        severity=Severity.MEDIUM,
        cwe=(613,),
        asvs=("7.3.2",),
        risk="A token found in yesterday's log still works.",
        remedy="Give access tokens 5 to 15 minutes, and a refresh token that is replaced at each use.",
        securecore="ACCESS_TOKEN_LIFETIME",
        run=long_life,
    ),
    _check(
        "SC-TOKEN-7",
        "No jti",
        severity=Severity.LOW,
        cwe=(613,),
        asvs=("7.4.1",),
        risk="A token without a name cannot be taken back by name.",
        remedy="Put a random jti into each token.",
        securecore="POST /oauth/token",
        run=without_jti,
    ),
)
