"""Tokens that are bound to a DPoP key, and requests with proofs, through middleware and views (RFC 9449)."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from securecore.digests import jwk_thumbprint
from securecore.events import RequestRefused
from securecore.models import SeenNonce
from securecore.replay import server_nonce
from securecore.testing import MutualTLSClient
from tests.events.recorder import of_kind, recorded
from tests.replay.proofs import ABSENT, ACCEPTED, ED25519, ES256, ES384, Signer
from tests.tokens.calls import ask, error_of, get, given, prove, said, works

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

ALGORITHMS = "ES256 EdDSA Ed25519 PS256 RS256"
DPOP = f'DPoP realm="api", algs="{ALGORITHMS}"'
BEARER = 'Bearer realm="api"'


@pytest.fixture
def token(client: MutualTLSClient) -> str:
    return str(given(client, proof=prove("/oauth/token", "POST"))["access_token"])


def refusal(answer: Any) -> str:
    """Return the error of a resource that demands a proof, and assert that the response is well formed."""
    assert answer.status_code == 401
    assert answer["Cache-Control"] == "no-store"
    challenge, _, error = answer["WWW-Authenticate"].partition(', error="')
    assert challenge == DPOP
    assert answer.json()["code"].replace("-", "_") == error.rstrip('"')
    return str(error.rstrip('"'))


class TestIssue:
    @pytest.mark.parametrize("signer", ACCEPTED, ids=lambda signer: signer.alg)
    def test_issue_binds_to_the_key_of_the_proof(self, client: MutualTLSClient, signer: Signer) -> None:
        answer = given(client, proof=prove("/oauth/token", "POST", by=signer))
        assert answer["token_type"] == "DPoP"
        assert said(answer["access_token"])["cnf"] == {"jkt": jwk_thumbprint(signer.jwk)}
        token = answer["access_token"]
        assert works(client, token, scheme="DPoP", proof=prove("/both", token=token, by=signer))

    @pytest.mark.parametrize("grant", ["client_credentials", "urn:securecore:grant-type:certificate"])
    def test_issue_does_so_for_every_grant(self, client: MutualTLSClient, grant: str) -> None:
        assert given(client, grant, proof=prove("/oauth/token", "POST"))["token_type"] == "DPoP"

    @pytest.mark.parametrize(
        "proof",
        [
            lambda: "",
            lambda: "nonsense",
            lambda: prove("/oauth/token", "GET"),
            lambda: prove("/oauth/revoke", "POST"),
            lambda: prove("/oauth/token", "POST", by=ES384),
            lambda: prove("/oauth/token", "POST", iat=1),
            lambda: prove("/oauth/token", "POST", jti=ABSENT),
            lambda: f"{prove('/oauth/token', 'POST')}, {prove('/oauth/token', 'POST')}",
            lambda: prove("/oauth/token", "POST")[:-5] + "AAAAA",
        ],
        ids=["empty", "nonsense", "htm", "htu", "alg", "iat", "jti", "two", "signature"],
    )
    def test_issue_refuses_what_proves_nothing(self, client: MutualTLSClient, proof: Callable[[], str]) -> None:
        """The response is never a token that is bound to the certificate instead."""
        assert error_of(ask(client, proof=proof())) == (400, "invalid_dpop_proof")

    def test_issue_refuses_a_proof_that_it_has_seen(self, client: MutualTLSClient) -> None:
        proof = prove("/oauth/token", "POST")
        given(client, proof=proof)
        assert error_of(ask(client, proof=proof)) == (400, "invalid_dpop_proof")

    def test_issue_wants_a_client_all_the_same(self, mtls_client: Any) -> None:
        answer = ask(mtls_client(None), proof=prove("/oauth/token", "POST"))
        assert error_of(answer) == (401, "invalid_client")


class TestUse:
    def test_use_works_with_a_proof_of_its_key(self, client: MutualTLSClient, token: str) -> None:
        answer = get(client, token, scheme="DPoP", proof=prove("/both", token=token))
        assert (answer.status_code, answer.json()) == (200, {"user": "alice", "auth": "AccessToken"})

    @pytest.mark.parametrize("scheme", ["DPoP", "dpop", "DPOP", "DPoP "])
    def test_use_works_in_every_spelling_of_the_scheme(self, client: MutualTLSClient, token: str, scheme: str) -> None:
        assert works(client, token, scheme=scheme, proof=prove("/both", token=token))

    def test_use_needs_no_certificate(self, mtls_client: Any, token: str) -> None:
        assert works(mtls_client(None), token, scheme="DPoP", proof=prove("/both", token=token))

    def test_use_costs_two_statements_more_than_a_certificate(
        self, mtls_client: Any, token: str, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(2):  # the claim of the proof; the token and its user
            assert works(mtls_client(None), token, scheme="DPoP", proof=prove("/both", token=token))

    def test_use_works_once_for_each_proof(self, client: MutualTLSClient, token: str) -> None:
        proof = prove("/both", token=token)
        assert works(client, token, scheme="DPoP", proof=proof)
        assert refusal(get(client, token, scheme="DPoP", proof=proof)) == "invalid_dpop_proof"
        assert works(client, token, scheme="DPoP", proof=prove("/both", token=token))

    @pytest.mark.parametrize(
        ("proof", "error"),
        [
            (lambda token: prove("/both"), "invalid_dpop_proof"),
            (lambda token: prove("/both", token=token + "x"), "invalid_dpop_proof"),
            (lambda token: prove("/both", token=""), "invalid_dpop_proof"),
            (lambda token: prove("/proof-only", token=token), "invalid_dpop_proof"),
            (lambda token: prove("/both/", token=token), "invalid_dpop_proof"),
            (lambda token: prove("/both", "POST", token=token), "invalid_dpop_proof"),
            (lambda token: prove("/both", "get", token=token), "invalid_dpop_proof"),
            (lambda token: prove("/both", token=token, htu="https://other/both"), "invalid_dpop_proof"),
            (lambda token: prove("/both", token=token, htu="http://testserver/both"), "invalid_dpop_proof"),
            (lambda token: prove("/both", token=token, iat=1), "invalid_dpop_proof"),
            (lambda token: prove("/both", token=token)[:-5] + "AAAAA", "invalid_dpop_proof"),
            (lambda token: f"{prove('/both', token=token)},{prove('/both', token=token)}", "invalid_dpop_proof"),
            (lambda token: f"{prove('/both', token=token)}, x", "invalid_dpop_proof"),
            (lambda token: "", "invalid_dpop_proof"),
            (lambda token: None, "invalid_dpop_proof"),
            (lambda token: token, "invalid_dpop_proof"),
            (lambda token: prove("/both", token=token, by=ED25519), "invalid_token"),
        ],
        ids=[
            "without ath",
            "ath of another",
            "ath of none",
            "other path",
            "slash",
            "other method",
            "method in another case",
            "other host",
            "other scheme",
            "old",
            "signature",
            "two",
            "two, one nonsense",
            "empty",
            "missing",
            "the token itself",
            "other key",
        ],
    )
    def test_use_is_refused_otherwise(self, client: MutualTLSClient, token: str, proof: Any, error: str) -> None:
        with recorded() as events:
            assert refusal(get(client, token, scheme="DPoP", proof=proof(token))) == error
        assert [event.code for event in of_kind(events, RequestRefused)] == [error.replace("_", "-")]
        assert token not in repr(events)

    def test_use_is_not_replaced_by_the_certificate(self, client: MutualTLSClient, token: str) -> None:
        """A good certificate does not replace a bad proof."""
        assert refusal(get(client, token, scheme="DPoP", proof="x")) == "invalid_dpop_proof"

    def test_use_tells_the_event_why(self, client: MutualTLSClient, token: str) -> None:
        with recorded() as events:
            get(client, token, scheme="DPoP", proof=prove("/both", "POST", token=token))
            get(client, token[:-4] + "AAAA", scheme="DPoP", proof=prove("/both"))
        first, second = of_kind(events, RequestRefused)
        assert "htm" in first.reason
        assert "InvalidSignature" in second.reason or "Signature" in second.reason

    @pytest.mark.parametrize(
        "path",
        [
            "/any/a%20b",
            "/any/100%25",
            "/any/a%3Fb",
            "/any/a%23b",
            "/any/%C3%BC",
            "/any/a;b=c",
            "/any/a+b,c@d:e",
            "/any/~x!$&'()*",
            "/any/a//b",
            "//any/x",
            "/any/[x]",
        ],
    )
    def test_use_works_for_every_path(self, client: MutualTLSClient, token: str, path: str) -> None:
        written = path.replace("[", "%5B").replace("]", "%5D")
        proof = prove(written, token=token)
        # Not client.get(path), which would take "//any" for a host.
        answer = client.generic(
            "GET", "/any/x", HTTP_AUTHORIZATION=f"DPoP {token}", HTTP_DPOP=proof, PATH_INFO=raw(path)
        )
        assert answer.status_code == 200, answer.content

    @pytest.mark.parametrize(
        ("path", "proven"),
        [
            ("/any/a%3Fb", "https://testserver/any/a"),
            ("/any/a%23b", "https://testserver/any/a"),
            ("//any/x", "https://any/x"),
            ("//any/x", "https://testserver/any/x"),
            ("//any/x", "https://testserver/x"),
        ],
    )
    def test_use_is_refused_for_a_path_that_only_looks_alike(
        self, client: MutualTLSClient, token: str, path: str, proven: str
    ) -> None:
        proof = prove("", token=token, htu=proven)
        answer = client.generic(
            "GET", "/any/x", HTTP_AUTHORIZATION=f"DPoP {token}", HTTP_DPOP=proof, PATH_INFO=raw(path)
        )
        assert refusal(answer) == "invalid_dpop_proof"

    @pytest.mark.parametrize(
        ("path", "on_the_wire", "proven", "fits"),
        [
            ("/any/a,b", "/any/a%2Cb", "/any/a%2Cb", True),
            ("/any/a,b", "/any/a%2cb?x=%2C", "/any/a%2Cb", True),
            ("/any/a,b", "/any/a,b", "/any/a,b", True),
            ("/any/a,b", "/any/a%2Cb", "/any/a,b", False),
            # A RAW_URI with another path than PATH_INFO is ignored.
            ("/any/a,b", "/any/c", "/any/c", False),
            ("/any/a,b", "/any/c", "/any/a,b", True),
            ("/any/a,b", "https://other/any/a%2Cb", "/any/a,b", True),
            ("/any/a#b", "/any/a#b", "/any/a", False),
            ("/any/a?b", "/any/a?b", "/any/a", False),
            ("/any/100%", "/any/100%", "/any/100%25", True),
            ("/any/[x]", "/any/[x]", "/any/%5Bx%5D", True),
            ("/any/ü", "/any/\xc3\xbc", "/any/%C3%BC", True),
        ],
    )
    def test_use_is_for_the_path_as_it_was_spelled_where_the_server_tells(
        self, client: MutualTLSClient, token: str, path: str, on_the_wire: str, proven: str, fits: bool
    ) -> None:
        answer = client.generic(
            "GET",
            "/any/x",
            HTTP_AUTHORIZATION=f"DPoP {token}",
            HTTP_DPOP=prove(proven, token=token),
            PATH_INFO=path.encode().decode("latin-1"),
            RAW_URI=on_the_wire,
        )
        assert answer.status_code == (200 if fits else 401), answer.content

    def test_use_ignores_the_query(self, client: MutualTLSClient, token: str) -> None:
        assert works(client, token, path="/both?a=1", scheme="DPoP", proof=prove("/both?b=2#c", token=token))


def raw(path: str) -> str:
    """Return the path as a WSGI server gives it: percent-decoded, each byte as one latin-1 character."""
    from urllib.parse import unquote_to_bytes

    return unquote_to_bytes(path).decode("latin-1")


class TestDowngrade:
    @pytest.mark.parametrize("with_proof", [False, True])
    @pytest.mark.parametrize("path", ["/both", "/token-only"])
    def test_downgrade_to_bearer_is_refused(
        self, client: MutualTLSClient, token: str, path: str, with_proof: bool
    ) -> None:
        """RFC 9449 section 7.2."""
        proof = prove(path, token=token) if with_proof else None
        answer = get(client, token, path, proof=proof)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == f'{BEARER}, error="invalid_token"'

    def test_downgrade_of_a_certificate_bound_token_to_a_proof_is_refused(self, client: MutualTLSClient) -> None:
        token = given(client)["access_token"]
        answer = get(client, token, scheme="DPoP", proof=prove("/both", token=token))
        assert refusal(answer) == "invalid_token"

    def test_downgrade_by_a_thumbprint_of_the_other_kind_is_refused(
        self, client: MutualTLSClient, now: dt.datetime
    ) -> None:
        from tests.tokens.forge import claims, header, sign

        alice = str(User.objects.get(username="alice").pk)
        jkt = jwk_thumbprint(ES256.jwk)
        token = sign(header(), claims(now, sub=alice, cnf={"x5t#S256": jkt}))
        assert refusal(get(client, token, scheme="DPoP", proof=prove("/both", token=token))) == "invalid_token"

    def test_downgrade_of_a_bearer_token_with_a_useless_proof_changes_nothing(self, client: MutualTLSClient) -> None:
        """A client that sends a DPoP header with every request is no attacker, and a Bearer token needs no proof."""
        token = given(client)["access_token"]
        assert works(client, token, proof="nonsense")
        assert client.get("/both", HTTP_DPOP="nonsense").json()["auth"] == "ClientCertificate"


class TestChallenge:
    @pytest.mark.parametrize(
        ("path", "challenge"),
        [("/token-only", BEARER), ("/proof-only", DPOP), ("/both", f"{BEARER}, {DPOP}"), ("/old-and-new", BEARER)],
    )
    def test_challenge_lists_every_scheme_of_the_view(self, mtls_client: Any, path: str, challenge: str) -> None:
        answer = mtls_client(None).get(path)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, challenge)
        assert answer.json()["code"] == "authentication-required"

    @pytest.mark.parametrize("scheme", ["Basic", "Digest", "DPoPx", "Bear"])
    def test_challenge_is_the_same_for_an_unknown_scheme(self, mtls_client: Any, token: str, scheme: str) -> None:
        answer = get(mtls_client(None), token, scheme=scheme)
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, f"{BEARER}, {DPOP}")


@pytest.fixture
def nonce_required(configure: Callable[..., None]) -> None:
    configure(DPOP_NONCE_REQUIRED=True)


class TestNonce:
    @pytest.mark.usefixtures("nonce_required")
    @pytest.mark.parametrize("nonce", [ABSENT, "wrong", "x" * 200], ids=["none", "wrong", "long"])
    def test_nonce_is_given_by_the_token_endpoint(self, client: MutualTLSClient, nonce: Any) -> None:
        answer = ask(client, proof=prove("/oauth/token", "POST", nonce=nonce))
        assert error_of(answer) == (400, "use_dpop_nonce")
        proof = prove("/oauth/token", "POST", nonce=answer["DPoP-Nonce"])
        assert given(client, proof=proof)["token_type"] == "DPoP"

    def test_nonce_is_given_by_a_resource(self, client: MutualTLSClient, token: str, configure: Any) -> None:
        configure(DPOP_NONCE_REQUIRED=True)
        answer = get(client, token, scheme="DPoP", proof=prove("/both", token=token))
        assert refusal(answer) == "use_dpop_nonce"
        proof = prove("/both", token=token, nonce=answer["DPoP-Nonce"])
        assert works(client, token, scheme="DPoP", proof=proof)

    def test_nonce_that_is_wrong_is_refused_even_where_none_is_required(
        self, client: MutualTLSClient, token: str
    ) -> None:
        """RFC 9449 section 11.3 forbids the downgrade: a nonce in a proof must be one of this server."""
        answer = get(client, token, scheme="DPoP", proof=prove("/both", token=token, nonce="somebody else's"))
        assert refusal(answer) == "use_dpop_nonce"
        assert answer["DPoP-Nonce"]

    @pytest.mark.usefixtures("nonce_required")
    def test_nonce_may_be_used_by_many_proofs_but_each_of_them_once(
        self, client: MutualTLSClient, now: dt.datetime
    ) -> None:
        nonce = server_nonce.current(now)
        proofs = [prove("/oauth/token", "POST", nonce=nonce) for _ in range(3)]
        assert [ask(client, proof=proof).status_code for proof in (*proofs, *proofs)] == [200] * 3 + [400] * 3

    @pytest.mark.usefixtures("nonce_required")
    def test_nonce_is_not_asked_of_who_shows_no_proof(self, client: MutualTLSClient) -> None:
        assert given(client)["token_type"] == "Bearer"

    @pytest.mark.usefixtures("nonce_required")
    def test_nonce_in_a_bad_proof_is_no_help(self, client: MutualTLSClient, now: dt.datetime) -> None:
        proof = prove("/oauth/token", "GET", nonce=server_nonce.current(now))
        answer = ask(client, proof=proof)
        assert error_of(answer) == (400, "invalid_dpop_proof")
        assert "DPoP-Nonce" not in answer


@pytest.mark.django_db(transaction=True)
class TestAtomicRequests:
    @pytest.fixture(autouse=True)
    def atomic_requests(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    def test_atomic_requests_a_proof_stays_claimed_when_the_view_fails(
        self, client: MutualTLSClient, token: str
    ) -> None:
        proof = prove("/failing", token=token)
        assert get(client, token, "/failing", scheme="DPoP", proof=proof).status_code == 403
        assert not Group.objects.exists()
        assert refusal(get(client, token, "/failing", scheme="DPoP", proof=proof)) == "invalid_dpop_proof"

    def test_atomic_requests_a_proof_stays_claimed_when_the_token_endpoint_refuses(
        self, client: MutualTLSClient
    ) -> None:
        proof = prove("/oauth/token", "POST")
        answer = ask(client, "refresh_token", refresh_token="unknown", proof=proof)
        assert error_of(answer) == (400, "invalid_grant")
        assert error_of(ask(client, proof=proof)) == (400, "invalid_dpop_proof")

    def test_atomic_requests_a_proof_works(self, client: MutualTLSClient, token: str) -> None:
        assert works(client, token, scheme="DPoP", proof=prove("/both", token=token))


class TestStorage:
    def test_storage_keeps_no_proof_and_no_name_of_one(self, client: MutualTLSClient) -> None:
        jti = uuid.uuid4().hex
        proof = prove("/oauth/token", "POST", jti=jti)
        given(client, proof=proof)
        (row,) = SeenNonce.objects.values()
        assert jti not in repr(row)
        assert str(jwt.get_unverified_header(proof)["jwk"]["x"]) not in repr(row)

    def test_storage_of_a_bad_proof_is_empty(self, client: MutualTLSClient, token: str) -> None:
        before = SeenNonce.objects.count()
        for proof in ("x", prove("/both"), prove("/both", token=token)[:-4] + "AAAA"):
            get(client, token, scheme="DPoP", proof=proof)
        assert SeenNonce.objects.count() == before
