from __future__ import annotations

from collections.abc import Iterator

import httpx

from demo_project.tour.client import Probe, Service, body, described, granted, refused

TITLE = "Token replay"
ABOUT = "A stolen access token is used under another certificate, in a URL, and after its owner revoked it."


def attack(service: Service) -> Iterator[Probe]:
    """Use alice's token with another certificate and with none, in a URL, and after she revoked it."""
    with service.client("alice") as alice, service.client("bob") as bob, service.client() as nobody:
        token = _token(alice)
        granted(_report(alice, token))  # the token works for its owner
        yield _judged("under bob's certificate", _report(bob, token))
        yield _judged("without a certificate", _report(nobody, token))
        yield _judged("in the URL", alice.get("/api/reports", params={"access_token": token}))
        granted(_report(alice, token))  # the owner's token still works
        granted(alice.post("/oauth/revoke", data={"token": token}))
        yield _judged("after its revocation", _report(alice, token))


def _token(client: httpx.Client) -> str:
    form = {"grant_type": "client_credentials", "client_id": "alice"}
    return str(body(client.post("/oauth/token", data=form))["access_token"])


def _report(client: httpx.Client, token: str) -> httpx.Response:
    return client.get("/api/reports", headers={"Authorization": f"Bearer {token}"})


def _judged(name: str, response: httpx.Response) -> Probe:
    return Probe(f"a token {name}", not refused(response), described(response))
