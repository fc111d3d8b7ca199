"""A request that was made of bytes, with a note of the good credentials in it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from tests.fuzz.demo import Token

COOKIE = "__Host-sessionid"

ORDERS = ("/api/transfers", "/api/payouts", "/api/payouts/signed", "/api/payouts/proven")


@dataclass
class Sent:
    """A request, and the good credentials in it."""

    environ: dict[str, Any]
    body: bytes = b""
    #: The user of a certificate that the trusted proxy verified.
    certificate: str = ""
    #: A good token in the Authorization header, with its certificate or proof.
    token: Token | None = None
    #: Whether the Authorization header asks for a token class, so that no other credential may answer.
    is_by_token: bool = False
    #: The user of a session, which opens under the user's certificate only.
    session: str = ""
    #: The user with the DPoP key that has signed a good proof.
    proof: str = ""
    is_signed: bool = False
    is_fresh: bool = False
    is_changed: bool = False
    #: Bytes after which the connection breaks.
    breaks_after: int | None = None
    is_busy: bool = False
    is_again: bool = False

    @property
    def path(self) -> str:
        return str(self.environ["PATH_INFO"])

    @property
    def method(self) -> str:
        return str(self.environ["REQUEST_METHOD"])

    @property
    def callers(self) -> set[str]:
        """The users that this request may act as."""
        tokens = {self.token.user} if self.token else set()
        others = {name for name in (self.certificate, self.session) if name}
        if self.is_changed:
            return tokens | others
        return tokens if self.is_by_token else others

    def outgoing(self) -> dict[str, Any]:
        """Return the environ of one attempt."""
        stream = Breaking(self.body[: self.breaks_after]) if self.breaks_after is not None else io.BytesIO(self.body)
        return {**self.environ, "wsgi.input": stream, "wsgi.errors": io.StringIO()}


class Breaking(io.BytesIO):
    """A body of a client that hangs up."""

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if not found:
            raise ConnectionResetError("the client hung up")
        return found

    readline = read
