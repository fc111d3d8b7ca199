"""Channels 4: a consumer behind securecore's middleware, and behind Channels' own stack."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import WebsocketConsumer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User

from securecore.errors import Misuse
from securecore.http.channels import SessionMiddleware
from securecore.identity import parse_pem
from securecore.revocation import revoke_certificate
from securecore.sessions import SessionStore
from securecore.sessions.models import Session
from securecore.testing import Issued
from tests.sessions.test_endpoints import COOKIE, log_in
from tests.support.asgi import ADDRESSES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.sessions.urls")]


class WhoAmI(WebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    """Sends the names of the user of the session and of the certificate."""

    def connect(self) -> None:
        self.accept()
        by_certificate = self.scope.get("certificate_user")
        self.send(text_data=f"{self.scope['user'].get_username()},{by_certificate}")


OURS, THEIRS = SessionMiddleware(WhoAmI.as_asgi()), AuthMiddlewareStack(WhoAmI.as_asgi())


def connect(application: Any, issued: Issued | None, cookie: str = "", origin: str = "", **scope: Any) -> str:
    """Open a websocket; return its first message, or the code of its refusal."""
    headers = [(b"host", b"testserver")]
    if issued is not None:
        headers += [(b"x-ssl-client-verify", b"SUCCESS"), (b"x-ssl-client-cert", issued.escaped.encode())]
    headers += [(b"cookie", f"{COOKIE}={cookie}".encode())] if cookie else []
    headers += [(b"origin", origin.encode())] if origin else []

    async def run() -> str:
        communicator: Any = WebsocketCommunicator(application, "/ws", headers=headers)
        communicator.scope.update(ADDRESSES["uvicorn unix"] | {"scheme": "wss"} | scope)
        connected, code = await communicator.connect(timeout=10)
        message = await communicator.receive_from() if connected else str(code)
        await communicator.disconnect()
        return str(message)

    return str(async_to_sync(run)())


@pytest.fixture
def alice(users: dict[str, User], certificate_for: Any) -> Issued:
    return certificate_for("alice")  # type: ignore[no-any-return]


@pytest.fixture
def cookie(alice: Issued, mtls_client: Any) -> str:
    client = mtls_client("alice")
    log_in(client)
    return str(client.cookies[COOKIE].value)


class TestOurMiddleware:
    def test_our_middleware_knows_user_and_certificate(self, alice: Issued, cookie: str) -> None:
        assert connect(OURS, alice, cookie) == "alice,alice"
        assert connect(OURS, alice) == ",alice"
        assert connect(OURS, None) == ",None"

    def test_our_middleware_refuses_a_stolen_cookie(self, cookie: str, certificate_for: Any) -> None:
        assert connect(OURS, certificate_for("mallory"), cookie) == ",None"
        assert connect(OURS, None, cookie) == ",None"

    def test_our_middleware_refuses_the_page_of_another_site(self, alice: Issued, cookie: str) -> None:
        assert connect(OURS, alice, cookie, origin="https://testserver") == "alice,alice"
        assert connect(OURS, alice, cookie, origin="https://evil.example") == "4403"

    def test_our_middleware_refuses_a_revoked_certificate(self, alice: Issued, cookie: str) -> None:
        revoke_certificate(thumbprint=parse_pem(alice.pem).thumbprint)
        assert connect(OURS, alice, cookie) == "4403"

    def test_our_middleware_believes_the_proxy_only(self, alice: Issued, cookie: str) -> None:
        assert connect(OURS, alice, cookie, server=("10.1.2.3", 80), client=("192.0.2.1", 7)) == ",None"


class TestTheirStack:
    def test_their_stack_is_told_what_to_write(self, alice: Issued, cookie: str) -> None:
        """It returned an anonymous user, and nothing said why."""
        with pytest.raises(Misuse, match=r"securecore\.http\.channels\.SessionMiddleware"):
            connect(THEIRS, alice, cookie)
        assert Session.objects.filter(user__username="alice").exists()

    def test_their_stack_opens_a_session_that_is_bound_to_nothing(self, users: Any, mtls_client: Any) -> None:
        client = mtls_client(None)
        client.force_login(users["alice"])
        assert connect(THEIRS, None, client.cookies[COOKIE].value) == "alice,None"


class TestOutsideARequest:
    def test_outside_a_request_a_bound_session_needs_its_binding(self, cookie: str) -> None:
        with pytest.raises(Misuse, match=r"SessionStore\(session_key, row\.binding\)"):
            SessionStore(session_key=cookie).get("_auth_user_id")
        row = Session.objects.get(user__username="alice")
        assert SessionStore(cookie, row.binding).get("_auth_user_id") == str(row.user_id)

    def test_outside_a_request_an_unbound_session_is_read_as_django_documents(self, users: Any) -> None:
        stored = SessionStore()
        stored["seen"] = "yes"
        stored.create()
        assert SessionStore(session_key=stored.session_key).get("seen") == "yes"
