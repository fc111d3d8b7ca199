"""The metadata of the authorization server (RFC 8414, RFC 8705, RFC 9449)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from securecore.replay import DPOP_ALGORITHMS
from securecore.testing import MutualTLSClient
from tests.tokens.calls import error_of, post

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

ADDRESS = "/.well-known/oauth-authorization-server"


@pytest.fixture
def metadata() -> Any:
    """Return the metadata as an anonymous client reads it: public data needs no certificate."""
    answer = MutualTLSClient().get(ADDRESS)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer["Cache-Control"] == "public, max-age=300"
    return answer.json()


class TestMetadata:
    def test_metadata_is_of_the_issuer(self, metadata: Any) -> None:
        assert metadata["issuer"] == "https://testserver"
        assert "scopes_supported" not in metadata

    def test_metadata_says_what_can_be_asked_for(self, metadata: Any) -> None:
        assert metadata["grant_types_supported"] == [
            "client_credentials",
            "refresh_token",
            "urn:securecore:grant-type:certificate",
        ]
        assert metadata["response_types_supported"] == []

    def test_metadata_says_how_tokens_are_bound(self, metadata: Any) -> None:
        assert metadata["tls_client_certificate_bound_access_tokens"] is True
        assert metadata["dpop_signing_alg_values_supported"] == list(DPOP_ALGORITHMS)
        assert {"ES256", "EdDSA", "Ed25519"} <= set(metadata["dpop_signing_alg_values_supported"])

    @pytest.mark.parametrize("name", ["token_endpoint", "revocation_endpoint", "introspection_endpoint"])
    def test_metadata_names_endpoints_that_are_there(self, client: MutualTLSClient, metadata: Any, name: str) -> None:
        for address in (metadata[name], metadata["mtls_endpoint_aliases"][name]):
            parts = urlsplit(address)
            assert (parts.scheme, parts.netloc) == ("https", "testserver")
            assert error_of(post(client, "", parts.path)) == (400, "invalid_request")

    def test_metadata_names_the_key_set(self, metadata: Any) -> None:
        answer = MutualTLSClient().get(urlsplit(metadata["jwks_uri"]).path)
        assert [key["kid"] for key in answer.json()["keys"]] == ["test"]

    @pytest.mark.parametrize("self_signed", [False, True])
    def test_metadata_says_how_clients_authenticate(self, configure: Any, self_signed: bool) -> None:
        configure(CERTIFICATE_MATCHES=("self-signed",) * self_signed)
        metadata = MutualTLSClient().get(ADDRESS).json()
        methods = ["tls_client_auth"] + ["self_signed_tls_client_auth"] * self_signed
        for endpoint in ("token", "revocation", "introspection"):
            assert metadata[f"{endpoint}_endpoint_auth_methods_supported"] == methods

    def test_metadata_follows_the_issuer(self, configure: Any) -> None:
        configure(TOKEN_ISSUER="https://auth.example/")
        metadata = MutualTLSClient().get(ADDRESS).json()
        assert metadata["issuer"] == "https://auth.example/"
        assert metadata["token_endpoint"] == "https://auth.example/oauth/token"

    def test_metadata_holds_no_secret(self, metadata: Any, settings: Any) -> None:
        assert settings.SECURECORE["TOKEN_SIGNING_KEYS"][0]["private_key"] not in str(metadata)
        assert settings.SECURECORE["PROXY_SECRETS"][0] not in str(metadata)

    @pytest.mark.parametrize("method", ["post", "put", "delete"])
    def test_metadata_is_only_read(self, method: str) -> None:
        assert getattr(MutualTLSClient(), method)(ADDRESS).status_code == 405
