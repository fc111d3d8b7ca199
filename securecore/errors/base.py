"""The classes of which every refusal is a subclass, and ``Misuse`` for mistakes of the program."""

from __future__ import annotations

from typing import ClassVar


class Misuse(RuntimeError):
    """A call that can never be right. The text names the right call."""


class Refused(Exception):
    """A decision against the request. An application may subclass this for a refusal of its own.

    ``detail`` is one sentence for the caller, ``headers`` are headers that the response must have.
    """

    code: ClassVar[str] = "refused"
    status: ClassVar[int] = 403
    title: ClassVar[str] = "The request was refused."

    def __init__(self, detail: str = "", *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.headers = headers or {}


class Unavailable(Refused):
    """A fault of a part, for example PostgreSQL: securecore cannot decide, so the response is 503 and never success."""

    status = 503
    code = "unavailable"
    title = "The service cannot decide this right now."

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class DatabaseUnavailable(Unavailable):
    code = "database-unavailable"
    title = "The service cannot reach its records right now."


class Busy(Unavailable):
    code = "busy"
    title = "The wait for this principal's other requests was too long."


def every_refusal(base: type[Refused] = Refused) -> list[type[Refused]]:
    """Return ``base`` and all its subclasses, in order of definition."""
    return [base, *(refusal for sub in base.__subclasses__() for refusal in every_refusal(sub))]
