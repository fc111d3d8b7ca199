"""A proof is accepted once in the cluster (RFC 9449 section 11.1)."""

from __future__ import annotations

import dataclasses
import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

from securecore.errors import InvalidDPoPProof, Misuse
from securecore.replay import Proof, SeenNonce, claim_nonce, claim_proof
from tests.replay.proofs import ED25519, ES256, IAT, NOW, URL, verify

SECOND = dt.timedelta(seconds=1)


def replayed(proof: Proof, *, now: dt.datetime = NOW) -> bool:
    with pytest.raises(InvalidDPoPProof) as refusal:
        claim_proof(proof, now=now)
    return "received before" in refusal.value.detail


@pytest.mark.django_db
class TestClaimProof:
    def test_claim_proof_accepts_a_proof_once(self) -> None:
        proof = verify(ES256.proof())
        claim_proof(proof, now=NOW)
        assert replayed(proof)

    def test_claim_proof_knows_the_jti_again_in_another_proof(self) -> None:
        claim_proof(verify(ES256.proof()), now=NOW)
        assert replayed(verify(ES256.proof(iat=IAT + 1, htu=URL + "?page=2", extra=1)))

    @pytest.mark.parametrize("different", [{"jti": "other"}, {"jkt": "other"}, {"url": "https://api.example/other"}])
    def test_claim_proof_keeps_jti_key_and_url_apart(self, different: dict[str, Any]) -> None:
        proof = verify(ES256.proof())
        claim_proof(proof, now=NOW)
        claim_proof(dataclasses.replace(proof, **different), now=NOW)

    def test_claim_proof_keeps_two_clients_with_one_jti_apart(self) -> None:
        claim_proof(verify(ES256.proof()), now=NOW)
        claim_proof(verify(ED25519.proof()), now=NOW)

    def test_claim_proof_is_not_confused_with_a_nonce(self) -> None:
        claim_nonce("x" * 16, scope="a", made_at=NOW, now=NOW)
        claim_proof(Proof(jkt="a", jti="x" * 16, issued_at=NOW, nonce=None, url=""), now=NOW)

    @pytest.mark.parametrize("offset", [-60, -59.5, 0, 9.5, 10])
    def test_claim_proof_remembers_it_for_as_long_as_its_iat_is_accepted(self, offset: float) -> None:
        presented = ES256.proof(iat=IAT + offset)
        proof = verify(presented)
        claim_proof(proof, now=NOW)
        last_accepted = proof.issued_at + 60 * SECOND
        verify(presented, now=last_accepted)
        with pytest.raises(InvalidDPoPProof, match="iat"):
            verify(presented, now=last_accepted + SECOND / 1000)
        # A host with a clock ten seconds slow reads its last instant when this host's clock is ten seconds further.
        assert replayed(proof, now=last_accepted + 10 * SECOND)

    def test_claim_proof_follows_the_settings(self) -> None:
        with override_settings(SECURECORE={"REPLAY_WINDOW": 300}):
            proof = verify(ES256.proof(iat=IAT - 300))
            claim_proof(proof, now=NOW)
        assert SeenNonce.objects.get().expires_at == proof.issued_at + 311 * SECOND

    def test_claim_proof_forgets_it_afterwards(self) -> None:
        proof = verify(ES256.proof())
        claim_proof(proof, now=NOW)
        claim_proof(proof, now=NOW + 72 * SECOND)
        assert SeenNonce.objects.count() == 1

    def test_claim_proof_stores_no_jti(self) -> None:
        claim_proof(verify(ES256.proof()), now=NOW)
        assert "one-of-many" not in str(SeenNonce.objects.values().get())

    def test_claim_proof_teaches_when_a_transaction_would_undo_it(self) -> None:
        proof = verify(ES256.proof())
        with pytest.raises(Misuse, match="non_atomic_requests"), transaction.atomic():
            claim_proof(proof, now=NOW)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite in memory has one connection")
@pytest.mark.django_db(transaction=True)
def test_presented_by_sixteen_threads_it_has_one_winner() -> None:
    proof = verify(ES256.proof())

    def claimed(_: int) -> bool:
        try:
            claim_proof(proof, now=NOW)
        except InvalidDPoPProof:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(claimed, range(16))) == 1
