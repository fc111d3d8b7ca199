"""Observe mode lets exactly the observable refusals pass, and records each of them."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from securecore import audit, clock, conf, grants
from securecore.audit.models import RefusalCount
from securecore.checks.observe import w712_observe_mode
from securecore.errors import Misuse
from securecore.events import PermissionRefused, WouldRefuse
from securecore.grants import principal_of
from securecore.http.decorators import observe
from securecore.revocation import revoke_certificate
from tests.events.recorder import of_kind, recorded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.observe.urls")]

EVERY_PROTECTION = ["permissions", "freshness", "idempotency-keys"]


@pytest.fixture
def observes_everything(settings: Any) -> None:
    settings.SECURECORE = {**settings.SECURECORE, "OBSERVE": EVERY_PROTECTION}


class Poster:
    """A client of one certificate that posts JSON."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def post(self, path: str, data: Any = None, **headers: Any) -> Any:
        given = {name: value() if callable(value) else value for name, value in headers.items()}
        return self.client.post(path, data or {}, content_type="application/json", **given)


@pytest.fixture
def alice(mtls_client: Any) -> Poster:
    return Poster(mtls_client("alice"))


def stamped(nonce: str, at: float | None = None) -> dict[str, Any]:
    """Return the headers of a request that is signed at ``at``, or when it is sent."""
    seconds = (lambda: str(int(time.time()))) if at is None else str(int(at))
    return {"HTTP_X_REQUEST_TIMESTAMP": seconds, "HTTP_X_REQUEST_NONCE": nonce}


#: Path, headers, and the code without observe mode.
PASSING = [
    ("requires", {}, "permission-denied"),
    ("granted", {}, "permission-denied"),
    ("fresh", {}, "timestamp-missing"),
    ("fresh", stamped("short"), "nonce-malformed"),
    ("fresh", stamped("n" * 32, at=1), "timestamp-stale"),
    ("keyed", {}, "idempotency-key-missing"),
]


@pytest.mark.parametrize(("path", "headers", "code"), PASSING)
class TestPassing:
    def test_request_is_refused_without_observe_mode(self, alice: Poster, path: str, headers: Any, code: str) -> None:
        with recorded() as events:
            assert alice.post(f"/{path}", {"name": "x"}, **headers).json()["code"] == code
        assert not of_kind(events, WouldRefuse)
        assert not Group.objects.exists()

    def test_request_passes_by_the_decorator_and_is_recorded(
        self, alice: Poster, path: str, headers: Any, code: str
    ) -> None:
        self.passes(alice, f"/{path}/observed", headers, code)

    @pytest.mark.usefixtures("observes_everything")
    def test_request_passes_by_the_setting_and_is_recorded(
        self, alice: Poster, path: str, headers: Any, code: str
    ) -> None:
        self.passes(alice, f"/{path}", headers, code)

    def passes(self, alice: Poster, path: str, headers: Any, code: str) -> None:
        audit.refusal_counts.take()
        with recorded() as events:
            response = alice.post(path, {"name": "x"}, **headers)
        assert response.status_code == 201, response.content
        assert Group.objects.count() == 1
        [event] = of_kind(events, WouldRefuse)
        assert (event.code, event.actor) == (code, principal_of(User.objects.get(username="alice")))
        assert event.request_id
        assert not of_kind(events, PermissionRefused)
        audit.refusal_counts.flush()
        [row] = RefusalCount.objects.all()
        assert (row.code, row.count) == (f"observed:{code}", 1)


def test_late_permission_passes_too(alice: Poster) -> None:
    assert alice.post("/late/observed").status_code == 201


def test_denial_and_exhausted_allowance_pass(alice: Poster, users: dict[str, User]) -> None:
    own = principal_of(users["alice"])
    grants.grant(principal=own, permission="things.make", now=clock.now(), uses_limit=1)
    with recorded() as events:
        statuses = [alice.post(f"/requires/observed?name={number}").status_code for number in range(3)]
        grants.grant(principal=own, permission="things.make", now=clock.now(), denies=True)
        statuses.append(alice.post("/requires/observed").status_code)
    assert statuses == [201] * 4
    exhausted, denied = "allowance-exhausted", "permission-denied"
    assert [event.code for event in of_kind(events, WouldRefuse)] == [exhausted, exhausted, denied]


@pytest.mark.usefixtures("observes_everything")
class TestNeverObserved:
    def test_repeated_nonce_is_refused(self, alice: Poster) -> None:
        once = stamped("n" * 32)
        assert alice.post("/fresh", **once).status_code == 201
        assert alice.post("/fresh", **once).json()["code"] == "nonce-reused"
        assert Group.objects.count() == 1

    def test_other_request_under_a_used_key_is_refused_and_a_repeat_is_replayed(self, alice: Poster) -> None:
        key = {"HTTP_IDEMPOTENCY_KEY": str(uuid.uuid4())}
        assert alice.post("/keyed", {"name": "a"}, **key).status_code == 201
        assert alice.post("/keyed", {"name": "a"}, **key).status_code == 201
        assert alice.post("/keyed", {"name": "b"}, **key).json()["code"] == "idempotency-key-reused"
        malformed = alice.post("/keyed", {"name": "b"}, HTTP_IDEMPOTENCY_KEY="x" * 300)
        assert malformed.json()["code"] == "idempotency-key-malformed"
        assert Group.objects.count() == 1

    def test_revoked_certificate_is_refused(self, alice: Poster, users: dict[str, User]) -> None:
        revoke_certificate(thumbprint=users["alice"].certificates.get().pk)
        for path in ("requires", "granted", "fresh", "keyed"):
            assert alice.post(f"/{path}", {"name": "x"}).json()["code"] == "certificate-revoked"

    def test_revocation_at_the_gate_is_refused(self, users: dict[str, User]) -> None:
        """The certificate was good when the request was authenticated, and is revoked behind the gate."""
        User.objects.filter(pk=users["alice"].pk).update(is_active=False)
        names = (principal_of(users["alice"]),)
        with pytest.raises(Exception, match="may not"), grants.allowed(names, "things.make", clock=clock.now):
            pass

    def test_request_without_a_caller_is_refused(self, client: Any) -> None:
        for path in ("requires", "granted"):
            assert Poster(client).post(f"/{path}", {"name": "x"}).status_code in (401, 403)

    def test_error_of_the_view_still_rolls_back(self, users: dict[str, User]) -> None:
        own = principal_of(users["alice"])
        with pytest.raises(ZeroDivisionError), grants.allowed(own, "things.make", clock=clock.now):
            Group.objects.create(name="x")
            raise ZeroDivisionError
        assert not Group.objects.exists()


def test_missing_signature_passes_and_a_wrong_one_does_not(alice: Poster) -> None:
    assert alice.post("/signed/observed").status_code == 201
    signed = {"HTTP_SIGNATURE_INPUT": 'sig=("@method");created=1;keyid="x"', "HTTP_SIGNATURE": "sig=:AAAA:"}
    assert alice.post("/signed/observed?name=b", **signed).status_code in (201, 401)


@pytest.mark.parametrize("protections", [(), ("identity",), ("permissions", "sessions")])
def test_unknown_protection_is_misuse(protections: tuple[str, ...]) -> None:
    with pytest.raises(Misuse, match="name some of 'permissions'"):
        observe(*protections)


def test_unknown_protection_in_the_setting_is_an_error() -> None:
    with override_settings(SECURECORE={"OBSERVE": ["identity"]}), pytest.raises(ImproperlyConfigured, match="identity"):
        conf.load()


class TestCheck:
    def test_check_names_each_view_and_the_setting(self, settings: Any) -> None:
        settings.ROOT_URLCONF = "tests.observe.urls"
        settings.SECURECORE = {**settings.SECURECORE, "OBSERVE": ["freshness"]}
        [message] = w712_observe_mode()
        assert message.id == "securecore.W712"
        for place in ("(freshness)", "ObservedGranted (permissions)", "ObservedKeyed (idempotency-keys)", "signed"):
            assert place in message.msg

    def test_check_is_silent_without_observe_mode(self, settings: Any) -> None:
        settings.ROOT_URLCONF = "tests.http.urls"
        assert w712_observe_mode() == []
