"""Report a refused request: the event for the log, and the count by minute for the table."""

from __future__ import annotations

import re

from securecore import audit, events
from securecore.http.actor import actor_of, serial_of, user_of
from securecore.http.request import AnyRequest, certificate_of, credentials_of, django_request
from securecore.texts import shown

#: The places in the name of a class at which a word begins: ``Token|Ended``.
_NEXT_WORD = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")


def report_refusal(request: AnyRequest, *, code: str, reason: str, cause: BaseException | None, kind: str = "") -> None:
    """Emit ``RequestRefused`` and count the refusal. Only the event holds the reason; the response never does.

    ``reason`` is a sentence, ``cause`` the exception that led to the refusal. ``kind`` is one of a few words, by which
    the count tells the reasons of one code apart; ``kind_of(cause)`` stands for it. The event and the count name the
    certificate's user also if the certificate is revoked or the user is locked out. Runs no statement.
    """
    certificate, actor = certificate_of(request), actor_of(request)
    credentials = credentials_of(django_request(request))
    user = user_of(request) or (credentials.user_for_operators() if credentials else None)
    token = credentials.token_for_operators() if credentials else None
    with audit.acting(actor):
        events.emit(
            events.RequestRefused(
                code=code,
                method=str(request.method),
                path=request.path,
                thumbprint=certificate.thumbprint if certificate else None,
                serial=serial_of(certificate),
                user=user,
                jti=token.jti if token else None,
                client_id=token.client_id if token else None,
                address=actor.address,
                request_id=actor.request_id,
                reason=sentence_of(cause) if cause else reason,
            )
        )
        kind = kind or (kind_of(cause) if cause else "")
        audit.refusal_counts.count(code=code, reason=kind, route=_route(request), actor=user or actor.name)


def kind_of(cause: BaseException) -> str:
    """Return the stable word for the cause of a refusal: its ``kind``, or else the words of its class.

    Example: ``token-ended`` for ``TokenEnded``, ``expired-signature`` for PyJWT's ``ExpiredSignatureError``.
    """
    named = str(getattr(cause, "kind", ""))
    return named or "-".join(_words(cause))


def sentence_of(cause: BaseException) -> str:
    """Return the cause of a refusal as a sentence on one line. An exception of a library has its class before it.

    Example: ``Decode error: Not enough segments``.
    """
    text = shown(str(cause))
    if text and type(cause).__module__.startswith("securecore"):
        return text
    words = " ".join(_words(cause)).capitalize()
    return f"{words}: {text}" if text else f"{words}."


def _words(cause: BaseException) -> list[str]:
    words = [word.lower() for word in _NEXT_WORD.split(type(cause).__name__)]
    return words[:-1] if len(words) > 2 and words[-1] == "error" else words


def _route(request: AnyRequest) -> str:
    match = getattr(django_request(request), "resolver_match", None)
    return str(match.route) if match is not None else ""
