"""Refusals of a request as a whole, and of texts that no column holds."""

from __future__ import annotations

from securecore.errors.base import Refused


class BodyIncomplete(Refused):
    code = "body-incomplete"
    status = 400
    title = "The request body ended before its Content-Length."


class ContentLengthMalformed(Refused):
    """RFC 9112 section 6.3: a message has no known end if its ``Content-Length`` is no number."""

    code = "content-length-malformed"
    status = 400
    title = "Content-Length is not a number of bytes."


class CharsetRefused(Refused):
    """The ``charset`` of the content type is no encoding of text, or one that takes quadratic time to decode."""

    code = "charset-refused"
    status = 400
    title = "The charset of the content type is not accepted."


class TextRefused(Refused):
    """A text holds NUL or a lone surrogate, which PostgreSQL cannot store, or is longer than its column."""

    code = "text-refused"
    status = 400
    title = "A text holds characters that cannot be stored, or is too long."
