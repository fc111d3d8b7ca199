"""Report a refused request: the event for the log, and the count by minute for the table."""

from __future__ import annotations

from securecore import audit, events
from securecore.http.actor import actor_of, serial_of, user_of
from securecore.http.request import AnyRequest, certificate_of, django_request


def report_refusal(request: AnyRequest, *, code: str, reason: str, cause: BaseException | None, kind: str = "") -> None:
    """Emit ``RequestRefused`` and count the refusal. Only the event holds the reason; the response never does.

    ``reason`` is a sentence, ``cause`` the exception that led to the refusal. ``kind`` is one of a few words, by which
    the count tells the reasons of one code apart; the name of the cause stands for it. Runs no statement.
    """
    certificate, actor = certificate_of(request), actor_of(request)
    with audit.acting(actor):
        events.emit(
            events.RequestRefused(
                code=code,
                method=str(request.method),
                path=request.path,
                thumbprint=certificate.thumbprint if certificate else None,
                serial=serial_of(certificate),
                user=user_of(request) or None,
                address=actor.address,
                request_id=actor.request_id,
                reason=repr(cause) if cause else reason,
            )
        )
        kind = kind or (type(cause).__name__ if cause else "")
        audit.refusal_counts.count(code=code, reason=kind, route=_route(request))


def _route(request: AnyRequest) -> str:
    match = getattr(django_request(request), "resolver_match", None)
    return str(match.route) if match is not None else ""
