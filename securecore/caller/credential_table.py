"""The table of credentials: those that may be together in one request, and the one that makes the request.

``choose`` takes plain values and returns a ``Choice``. ``http.authorization.credentials`` judges the credentials of a
request and calls it. docs/callers.md prints the table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import combinations
from typing import NamedTuple

from securecore.grants import principal_of

#: Kinds of credential, strongest first. The strongest one that the view takes makes the request.
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

#: For each pair of a stronger and a weaker credential, the relations of which at least one must hold. A request with
#: any other pair is refused.
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


class ProvenCredential(NamedTuple):
    """One proven credential of a request: its signature, dates, proof, binding and revocation were judged."""

    kind: str
    #: The principal of the active user that the credential names, or None.
    user: str | None
    #: The relations of the credential to the client certificate, of ``BOUND``, ``OBTAINED`` and ``CLIENT``.
    ties: frozenset[str] = frozenset()
    #: Whether no enrolment of this certificate names any user, active or not.
    is_nobodys: bool = False

    @classmethod
    def of(cls, kind: str, user: object | None, *ties: str, is_nobodys: bool = False) -> ProvenCredential:
        """Return the credential of ``user``, a user object or None."""
        return cls(kind, None if user is None else principal_of(user), frozenset(ties), is_nobodys)


class Choice(NamedTuple):
    """The credential that makes a request, or the conflict for which the request is refused."""

    #: None for a request without a credential that the view takes.
    credential: ProvenCredential | None = None
    #: The relation of ``credential`` to the client certificate. Empty without a certificate, and if ``credential`` is
    #: the certificate.
    relation: str = ""
    #: The kinds of two credentials that must not be in one request.
    conflict: tuple[str, str] | None = None

    @property
    def certificate_vouches(self) -> bool:
        """Say whether only a holder of the client certificate's key can be this caller."""
        return self.relation == BOUND or (self.credential is not None and self.credential.kind == CERTIFICATE)

    @property
    def certificate_is_the_callers(self) -> bool:
        """Say whether the certificate is the caller's own: a signature by its key is then the caller's signature."""
        return self.certificate_vouches or self.relation == SAME_USER


def choose(credentials: Sequence[ProvenCredential | None], takes: Collection[str] = EVERY_KIND) -> Choice:
    """Choose the credential that makes a request with these ``credentials``, in a view that ``takes`` these kinds.

    A credential that the view does not accept, and that is stronger than the chosen one, must name the same user.
    Example: an access token beside a session in a plain Django view.
    """
    presented = sorted((each for each in credentials if each is not None), key=lambda each: EVERY_KIND.index(each.kind))
    for first, second in combinations(presented, 2):
        if not _relation(first, second):
            return Choice(conflict=(first.kind, second.kind))
    chosen = next((each for each in presented if each.kind in takes), None)
    if chosen is None:
        return Choice()
    for stronger in presented[: presented.index(chosen)]:
        if chosen.user is not None and stronger.user != chosen.user:
            return Choice(conflict=(stronger.kind, chosen.kind))
    weakest = presented[-1]
    return Choice(chosen, _relation(chosen, weakest) if weakest.kind == CERTIFICATE else "")


def _relation(first: ProvenCredential, second: ProvenCredential) -> str:
    """Return the first relation of the table's row that holds, or an empty string."""
    holds = set(first.ties) if second.kind == CERTIFICATE else set()
    if first.user is not None and first.user == second.user:
        holds.add(SAME_USER)
    if second.is_nobodys:
        holds.add(NOBODY)
    return next((each for each in TABLE.get((first.kind, second.kind), ()) if each in holds), "")
