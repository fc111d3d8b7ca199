"""The table of callers: the credentials that may be together in one request, and the caller that they give it.

Plain values go in and a decision comes out. ``http.authorization.credentials`` reads the credentials of a request;
docs/callers.md prints the table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from securecore.grants import principal_of

#: Kinds of credential, strongest first. The strongest one that the view accepts decides the caller.
BEARER = "access token (Bearer)"
DPOP = "access token (DPoP)"
OTHER = "token of another package"
SESSION = "session"
CERTIFICATE = "certificate"
TOKENS = (BEARER, DPOP, OTHER)
EVERY_KIND = (*TOKENS, SESSION, CERTIFICATE)

#: Relations by which a request may present a second credential beside the first.
SAME_USER = "same user"
BOUND = "bound to it"
OBTAINED = "obtained under it"
CLIENT = "its OAuth client"
NOBODY = "enrolled for nobody"

#: For each stronger and weaker credential, the relations of which at least one must hold. Another pair is refused.
#: securecore's session engine opens a session only under the certificate of its binding, so such a session is BOUND.
TABLE: dict[tuple[str, str], tuple[str, ...]] = {
    (BEARER, SESSION): (SAME_USER,),
    (BEARER, CERTIFICATE): (BOUND,),
    (DPOP, SESSION): (SAME_USER,),
    (DPOP, CERTIFICATE): (SAME_USER, OBTAINED, CLIENT, NOBODY),
    (OTHER, SESSION): (SAME_USER,),
    (OTHER, CERTIFICATE): (SAME_USER, NOBODY),
    (SESSION, CERTIFICATE): (BOUND, SAME_USER, NOBODY),
}


class Credential(NamedTuple):
    """One proven credential of a request: its signature, dates, proof, binding and revocation were judged."""

    kind: str
    #: The principal of the active user that the credential names, or None.
    user: str | None
    #: The relations of the credential to the client certificate, of ``BOUND``, ``OBTAINED`` and ``CLIENT``.
    ties: frozenset[str] = frozenset()
    #: Whether no enrolment of this certificate names any user, active or not.
    is_nobodys: bool = False

    @classmethod
    def of(cls, kind: str, user: object | None, *ties: str, is_nobodys: bool = False) -> Credential:
        """Return the credential of ``user``, a user object or None."""
        return cls(kind, None if user is None else principal_of(user), frozenset(ties), is_nobodys)


class Decision(NamedTuple):
    """The caller of a request. ``conflict`` names the kinds of two credentials that must not be in one request."""

    #: The credential that decides the caller; None for a request without one.
    by: Credential | None = None
    #: The relation of the client certificate to ``by``; empty without a certificate, or if ``by`` is the certificate.
    certificate: str = ""
    conflict: tuple[str, str] | None = None

    @property
    def certificate_vouches(self) -> bool:
        """Say whether only a holder of the client certificate's key can be this caller."""
        return self.certificate == BOUND or (self.by is not None and self.by.kind == CERTIFICATE)

    @property
    def certificate_is_the_callers(self) -> bool:
        """Say whether the certificate is the caller's own: a signature by its key is then the caller's signature."""
        return self.certificate_vouches or self.certificate == SAME_USER


def decide(credentials: Sequence[Credential | None], takes: Collection[str] = EVERY_KIND) -> Decision:
    """Decide the caller of a request with these ``credentials``, in a view that ``takes`` these kinds.

    A credential that the view does not accept, and that is stronger than the deciding one, must name the same user.
    Example: an access token beside a session in a plain Django view.
    """
    presented = sorted((each for each in credentials if each is not None), key=lambda each: EVERY_KIND.index(each.kind))
    beside = ""
    for index, first in enumerate(presented):
        for second in presented[index + 1 :]:
            relation = _relation(first, second)
            if not relation:
                return Decision(conflict=(first.kind, second.kind))
            if second.kind == CERTIFICATE and not index:
                beside = relation
    by = next((each for each in presented if each.kind in takes), None)
    if by is None:
        return Decision()
    for stronger in presented[: presented.index(by)]:
        if by.user is not None and stronger.user != by.user:
            return Decision(conflict=(stronger.kind, by.kind))
    if by is not presented[0]:
        beside = "" if by.kind == CERTIFICATE else _beside(by, presented[-1])
    return Decision(by, beside)


def _beside(by: Credential, last: Credential) -> str:
    return _relation(by, last) if last.kind == CERTIFICATE else ""


def _relation(first: Credential, second: Credential) -> str:
    """Return the first relation of the table's row that holds, or an empty string."""
    holds = set(first.ties) if second.kind == CERTIFICATE else set()
    if first.user is not None and first.user == second.user:
        holds.add(SAME_USER)
    if second.is_nobodys:
        holds.add(NOBODY)
    return next((each for each in TABLE.get((first.kind, second.kind), ()) if each in holds), "")
