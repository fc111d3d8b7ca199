"""oauth4webapi and openid-client, the strictest clients that exist, through the demo's nginx.

Each library runs scenarios.mjs once; each test looks at the result of one scenario.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from demo_project.stack import Stack
from tests.acceptance.clients.node import LIBRARIES, Report

Met = Callable[[str], dict[str, Any]]

#: The refusal of a token, as the libraries read it in the challenge.
REFUSED_TOKEN = "401 bearer invalid_token"
INVALID_GRANT = "400 invalid_grant"


@pytest.fixture(params=LIBRARIES)
def met(request: pytest.FixtureRequest, reports: dict[str, Report]) -> Met:
    """`met("stolen")` is the library's result in that scenario. The call fails if the library gave up there."""

    def met(scenario: str) -> dict[str, Any]:
        found = reports[request.param][scenario]
        assert "error" not in found, found["error"]
        return found

    return met


def test_finds_the_endpoints(met: Met, stack: Stack) -> None:
    server = met("metadata")["server"]
    assert server["issuer"] == stack.url
    assert server["mtls_endpoint_aliases"]["token_endpoint"] == server["token_endpoint"] == f"{stack.url}/oauth/token"
    assert server["tls_client_certificate_bound_access_tokens"] is True
    assert "tls_client_auth" in server["token_endpoint_auth_methods_supported"]
    assert {"ES256", "EdDSA", "Ed25519"} <= set(server["dpop_signing_alg_values_supported"])


def test_client_credentials_are_bound_to_the_certificate(met: Met) -> None:
    found = met("client_credentials")
    assert found["token"]["token_type"] == "bearer"  # the libraries write it in lower case
    assert "refresh_token" not in found["token"]
    assert found["claims"]["cnf"] == {"x5t#S256": found["whoami"]["certificate"]["thumbprint"]}
    assert found["claims"]["client_id"] == found["whoami"]["user"] == "service"
    assert found["whoami"]["token"] == found["claims"]["jti"]
    assert found["reports"] == 200


def test_a_certificate_is_exchanged_for_tokens(met: Met) -> None:
    found = met("certificate_grant")
    assert found["token"]["refresh_token"]
    assert found["claims"]["cnf"] == {"x5t#S256": found["whoami"]["certificate"]["thumbprint"]}
    assert found["whoami"]["user"] == "alice"
    assert found["reports"] == 200


def test_a_refresh_token_is_replaced(met: Met) -> None:
    found = met("refresh_rotates")
    assert found["second"]["refresh_token"] != found["first"]["refresh_token"]
    assert found["second"]["access_token"] != found["first"]["access_token"]
    assert found["reports"] == [200, 200]


def test_a_lost_answer_can_be_asked_for_again(met: Met) -> None:
    assert met("lost_answer") == {"lost": INVALID_GRANT, "again": 200}


def test_a_refused_scope_uses_up_nothing(met: Met) -> None:
    assert met("refused_scope") == {"refused": "400 invalid_scope", "unused": True}


def test_a_replaced_refresh_token_ends_the_family(met: Met) -> None:
    after = {"refresh": INVALID_GRANT, "reports": REFUSED_TOKEN}
    assert met("reuse_detected") == {"before": 200, "replay": INVALID_GRANT, "after": after}


def test_what_is_revoked_is_refused(met: Met) -> None:
    found = met("revoked")
    # The token belongs to another client: the response is 200 (RFC 7009 section 2.2), and the token stays good.
    assert (found["foreign"], found["still"]) == (200, 200)
    assert found["access"] == REFUSED_TOKEN
    assert found["family"] == [REFUSED_TOKEN, INVALID_GRANT]


def test_introspection_tells_whom_it_concerns(met: Met) -> None:
    found = met("introspected")
    assert found["own"]["active"] is True
    assert found["own"]["username"] == "alice"
    assert list(found["own"]["cnf"]) == ["x5t#S256"]
    assert found["entitled"] == found["own"]
    assert found["refresh"]["active"] is True
    assert found["foreign"] == found["dead"] == {"active": False}


def test_a_registered_client_keeps_its_refresh_token(met: Met) -> None:
    found = met("registered_client")
    assert found["first"]["scope"] == found["second"]["scope"] == "reports.read"
    assert "refresh_token" not in found["second"]
    assert found["third"] == 200
    assert (found["wider"], found["unknown"]) == ("400 invalid_scope", "400 invalid_scope")


def test_stolen_tokens_are_worth_nothing(met: Met) -> None:
    assert met("stolen") == {
        "bob": {"reports": REFUSED_TOKEN, "refresh": INVALID_GRANT},
        "nobody": {"reports": REFUSED_TOKEN, "refresh": "401 invalid_client"},
        "impostor": {"reports": REFUSED_TOKEN, "refresh": "401 invalid_client"},
        # The thieves' attempts did not end the owner's session.
        "alice": {"reports": 200, "refresh": 200},
    }


def test_access_tokens_are_valid_by_rfc_9068(met: Met, stack: Stack) -> None:
    """jose verifies each token with the keys of /oauth/jwks; oauth4webapi also verifies a token with a DPoP proof."""
    found = met("validated")
    proven, plain = found["by_jose"]
    assert found["by_itself"] in (proven, None)
    assert (list(proven["cnf"]), list(plain["cnf"])) == (["jkt"], ["x5t#S256"])
    for claims in (proven, plain):
        assert (claims["iss"], claims["aud"], claims["client_id"]) == (stack.url, stack.url, "alice")


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "EdDSA", "PS256"])
def test_dpop_binds_to_the_key(met: Met, algorithm: str) -> None:
    found = met(f"dpop_{algorithm}")
    assert found["named"] == [algorithm]
    assert found["token"]["token_type"] == "dpop"
    assert found["claims"]["cnf"] == {"jkt": found["thumbprint"]}
    assert found["reports"] == 200
    assert found["bearer"] == REFUSED_TOKEN
    assert found["thief"] == "401 dpop invalid_token"
    assert found["refresh"] == {"unproven": INVALID_GRANT, "other": INVALID_GRANT, "bob": INVALID_GRANT, "own": 200}


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519", "EdDSA", "PS256"])
def test_dpop_is_retried_with_the_nonce_of_the_server(met: Met, algorithm: str) -> None:
    assert met(f"nonce_{algorithm}") == {
        "token": [400, 200],
        "remembered": [200],
        "reports": 200,
        "resource": [401, 200],
        "refresh": [400, 200],
    }
