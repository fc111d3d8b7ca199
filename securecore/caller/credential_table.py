"""The table of callers: which credentials may stand in one request, and whose request it is then.

Values in, a decision out. ``http.credentials`` finds the credentials of a request; docs/callers.md prints the table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from securecore.grants import principal_of

#: Kinds of credential, strongest first: a request is made by the strongest one that the view takes.
BEARER = "access token (Bearer)"
DPOP = "access token (DPoP)"
OTHER = "token of another package"
SESSION = "session"
CERTIFICATE = "certificate"
TOKENS = (BEARER, DPOP, OTHER)
EVERY_KIND = (*TOKENS, SESSION, CERTIFICATE)

#: Relations that let a second credential stand beside the first.
SAME_USER = "same user"
BOUND = "bound to it"
OBTAINED = "obtained under it"
CLIENT = "its OAuth client"
NOBODY = "enrolled for nobody"

#: For each stronger and weaker credential, the relations of which one must hold. A pair that is not here is refused.
#: Our engine opens a session only under the certificate that it is bound to, so a session of ours is always bound.
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
    """One credential of a request that was judged good by itself: its signature, dates, proof, binding, revocation."""

    kind: str
    #: The principal of the active user that it names, or None.
    user: str | None
    #: Of ``BOUND``, ``OBTAINED`` and ``CLIENT``, those that relate it to the certificate on the wire.
    ties: frozenset[str] = frozenset()
    #: Whether no enrolment of this certificate names any user, active or not.
    is_nobodys: bool = False

    @classmethod
    def of(cls, kind: str, user: object | None, *ties: str, is_nobodys: bool = False) -> Credential:
        """Return the credential of ``user``, a user object or None."""
        return cls(kind, None if user is None else principal_of(user), frozenset(ties), is_nobodys)


class Decision(NamedTuple):
    """Whose request it is. ``conflict`` names the kinds of two credentials that must not stand in one request."""

    #: The credential that the request is made by; None without any.
    by: Credential | None = None
    #: Why the certificate on the wire may stand beside it; empty if there is none, or if the request is made by it.
    certificate: str = ""
    conflict: tuple[str, str] | None = None

    @property
    def certificate_vouches(self) -> bool:
        """Whether nobody without the key of the certificate on the wire can be this caller."""
        return self.certificate == BOUND or (self.by is not None and self.by.kind == CERTIFICATE)

    @property
    def certificate_is_the_callers(self) -> bool:
        """Whether the certificate is the caller's own: what its key signs, the caller signs."""
        return self.certificate_vouches or self.certificate == SAME_USER


def decide(credentials: Sequence[Credential | None], takes: Collection[str] = EVERY_KIND) -> Decision:
    """Return whose request it is that presents these ``credentials``, in a view that ``takes`` these kinds.

    A credential that the view does not take, and that is stronger than the one the request is made by, must be of the
    same user: for example an access token in a plain Django view.
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
