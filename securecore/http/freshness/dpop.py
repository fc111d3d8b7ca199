"""Verify and claim the DPoP proof of a request (RFC 9449). ``securecore.replay.dpop`` checks the proof itself.

Note [When a proof is claimed]
    The claim is an INSERT that must commit before the view and must survive a rollback of the view. Under
    ATOMIC_REQUESTS the view's transaction is already open when REST framework authenticates, so the middleware claims
    the proof. The middleware claims a proof only for a live access token of securecore that is bound to the key of the
    proof. Otherwise an attacker without a token could sign proofs without end, and each proof would insert a row. At
    the token endpoint the request has no token yet; the endpoint claims the proof after it has authenticated the
    client. A claim over a second connection would work anywhere, but would cost a second connection for each thread.
"""

from __future__ import annotations

from functools import cached_property

from django.http import HttpRequest

from securecore import clock
from securecore.conf import settings
from securecore.errors import InvalidDPoPProof, InvalidToken, UseDPoPNonce
from securecore.http.authorization.header import authorization_of
from securecore.http.edge.target import target_uri
from securecore.http.request import SecureRequest
from securecore.replay import dpop, server_nonce
from securecore.tokens import AccessToken


class PresentedProof:
    """The ``DPoP`` header of one request, as ``request.dpop_proof``. The proof is verified at its first use."""

    def __init__(self, request: SecureRequest) -> None:
        self._request = request

    def verified(self) -> dpop.Proof | None:
        """Return the verified proof, or None without a header; do not claim the proof.

        Raises ``InvalidDPoPProof`` and ``UseDPoPNonce``.
        """
        if isinstance(self._verified, (InvalidDPoPProof, UseDPoPNonce)):
            raise self._verified
        return self._verified

    def claimed(self) -> dpop.Proof | None:
        """Claim the proof once for this request and return the proof, or None without a header.

        Raises the refusals of ``verified``, ``InvalidDPoPProof`` for a replay, and ``Misuse`` if a transaction was
        opened before the claim.
        """
        proof = self.verified()
        if proof is not None and self._replayed is not None:
            raise self._replayed
        return proof

    def claim_for_token(self) -> None:
        """Claim the proof if the request has a live securecore token that is bound to the proof's key.

        The caller has checked that the scheme of the Authorization header is DPoP. Raises no refusal: the view may
        accept callers without a token.
        """
        credentials = self._request.credentials
        try:
            if credentials.token is not None and self._is_of(credentials.token):
                credentials.user_of_token()
                _ = self._replayed
        except (InvalidDPoPProof, InvalidToken, UseDPoPNonce):
            return

    def _is_of(self, token: AccessToken) -> bool:
        """Return whether the key of the token has made the proof."""
        proof = self.verified()
        return proof is not None and token.is_bound_to_key(proof.jkt)

    @cached_property
    def _verified(self) -> dpop.Proof | InvalidDPoPProof | UseDPoPNonce | None:
        request, now = self._request, clock.now()
        presented = request.META.get("HTTP_DPOP")
        if presented is None:
            return None
        try:
            return dpop.verify_proof(
                presented,
                method=str(request.method),
                url=_url_without_query(request),
                access_token=authorization_of(request).dpop_token,
                now=now,
                nonce_required=settings.DPOP_NONCE_REQUIRED,
            )
        except InvalidDPoPProof as refusal:
            return refusal
        except UseDPoPNonce as refusal:
            refusal.headers["DPoP-Nonce"] = server_nonce.current(now)
            return refusal

    @cached_property
    def _replayed(self) -> InvalidDPoPProof | None:
        """Claim the verified proof, once for this request; return the refusal if another request has claimed it."""
        proof = self.verified()
        assert proof is not None  # noqa: S101
        try:
            dpop.claim_proof(proof, now=clock.now())
        except InvalidDPoPProof as refusal:
            return refusal
        return None


def proof_for_token(request: SecureRequest) -> None:
    """Accept the request's proof for its token.

    Raises ``InvalidDPoPProof`` for a missing, bad or repeated proof, ``UseDPoPNonce``, and ``InvalidToken`` for a token
    that is revoked, has no active user, or is bound to another key.
    """
    token = request.credentials.good_token()
    proof = request.dpop_proof.verified()
    if proof is None:
        raise InvalidDPoPProof
    if not token.is_bound_to_key(proof.jkt):
        raise InvalidToken
    request.credentials.user_of_token()
    request.dpop_proof.claimed()


def _url_without_query(request: HttpRequest) -> str:
    return target_uri(request).partition("?")[0]
