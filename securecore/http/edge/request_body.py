"""Receive the whole body of a request before a transaction begins.

A transaction that holds a gate must never wait for the client: a client that sends one byte a second would delay its
own revocation. So all code that opens a transaction for a view calls ``receive_body`` first. Django and REST framework
still read, parse and limit the body, but read it from memory or from a temporary file and not from the connection.
"""

from __future__ import annotations

import hashlib
import tempfile
import weakref
from typing import IO, Any

from securecore.conf import django_settings
from securecore.errors import BodyIncomplete
from securecore.http.request import SecureRequest, state_of

_CHUNK = 65_536


def receive_body(request: SecureRequest) -> None:
    """Receive the whole body of ``request``. Raises ``BodyIncomplete`` (400) if the client stops before its end.

    Up to ``FILE_UPLOAD_MAX_MEMORY_SIZE`` bytes stay in memory; a longer body goes to a temporary file. Django applies
    its own limits when the view uses the body, for example ``DATA_UPLOAD_MAX_MEMORY_SIZE`` for ``request.body``.
    """
    length, state = _length(request), state_of(request)
    # Django's ASGI handler has received the body before the view.
    if length == 0 or "wsgi.input" not in request.META or state.body_is_received:
        return
    if hasattr(request, "_body"):  # read by middleware, for example for a CSRF token in a form
        if len(request._body) < length:
            raise BodyIncomplete
        return
    # 0 means to Python that all of it stays in memory, and to Django that nothing does.
    in_memory = max(1, django_settings.FILE_UPLOAD_MAX_MEMORY_SIZE)
    received = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - lives as long as the request
        max_size=in_memory, dir=django_settings.FILE_UPLOAD_TEMP_DIR
    )
    weakref.finalize(request, received.close)
    stream: Any = request._stream
    # Read the connection without the WatchedBody around it, which searches for session ids while the view reads.
    watched = state.watched_body if stream is state.watched_body else None
    if _copy(stream if watched is None else watched._stream, received) < length:
        raise BodyIncomplete
    received.seek(0)
    if watched is None:
        request._stream = received  # type: ignore[assignment]  # Django reads, and needs no more of a stream
    else:
        watched._stream = received
    state.body_is_received = True


def body_digest(request: SecureRequest) -> bytes:
    """Return the SHA-256 of the body, after receiving it. The view can still read the body.

    ``request.body`` refuses more than ``DATA_UPLOAD_MAX_MEMORY_SIZE`` bytes, which is no limit for an uploaded file. So
    a longer body is read from the temporary file. Raises ``BodyIncomplete`` (400), and ``RawPostDataException`` if a
    parser has read the body before.
    """
    state = state_of(request)
    if state.body_digest is None:
        receive_body(request)
        largest: Any = django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE  # None is no limit
        of_django: Any = request  # the attributes behind Django's ``body``
        is_short = largest is None or _length(request) <= largest
        if is_short or hasattr(of_django, "_body") or of_django._read_started:
            state.body_digest = hashlib.sha256(request.body).digest()
        else:
            watched = state.watched_body
            received = of_django._stream if watched is None else watched._stream
            state.body_digest = hashlib.file_digest(received, "sha256").digest()
            received.seek(0)
    return state.body_digest


def _length(request: SecureRequest) -> int:
    """Return the length that Django reads: 0 if the header is no number."""
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _copy(stream: IO[bytes], received: IO[bytes]) -> int:
    """Copy the rest of the body to ``received``; return the number of bytes that the client has sent in total."""
    size = 0
    while chunk := _read_chunk(stream):
        received.write(chunk)
        size += len(chunk)
    # Django's LimitedStream counts from the beginning, also the bytes that a permission or middleware has parsed.
    return int(getattr(stream, "_pos", size))


def _read_chunk(stream: IO[bytes]) -> bytes:
    try:
        return stream.read(_CHUNK)
    except OSError as error:  # the client's; a full disk of ours is a 500
        raise BodyIncomplete from error
