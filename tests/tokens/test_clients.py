"""The client that a certificate proves: exactly the registered one, and no client with a similar name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from securecore import clock, tokens
from securecore.identity import ClientCertificate, enroll, parse_pem
from securecore.testing import Authority, Issued, MutualTLSClient
from securecore.tokens import Client, clients
from tests.tokens.calls import ask, error_of, given, refresh, said

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

Register = Callable[..., Client]


@pytest.fixture
def named(ca: Authority) -> Issued:
    """A certificate with one name of each kind, without an enrolment."""
    return ca.issue(
        "payments",
        dns_names=["payments.example", "*.wild.example"],
        uris=["https://payments.example/id", "spiffe://example/payments"],
        emails=["payments@example"],
        addresses=["192.0.2.7", "2001:db8::7"],
    )


def invalid_client(answer: Any) -> bool:
    if answer.status_code == 200:
        return False
    assert error_of(answer) == (401, "invalid_client")
    return True


def credentials(issued: Issued | MutualTLSClient, client_id: str | None = None, **parameters: str) -> Any:
    client = issued if isinstance(issued, MutualTLSClient) else MutualTLSClient(issued)
    named = {} if client_id is None else {"client_id": client_id}
    return ask(client, "client_credentials", **named, **parameters)


class TestImplicit:
    def test_implicit_is_the_certificate_s_user(self, client: MutualTLSClient) -> None:
        for parameters in ({}, {"client_id": "alice"}, {"client_id": ""}):
            token = said(given(client, "client_credentials", **parameters)["access_token"])
            assert (token["client_id"], token["sub"]) == ("alice", str(User.objects.get(username="alice").pk))

    @pytest.mark.parametrize(
        "client_id",
        [
            "bob",
            "Alice",
            "ALICE",
            "alice ",
            " alice",
            "alic",
            "alice2",
            "%",
            "_lice",
            "*",
            "\ufffd",
            "a" * 129,
            "x" * 10_000,
        ],
    )
    def test_implicit_is_nobody_else(self, client: MutualTLSClient, users: dict[str, User], client_id: str) -> None:
        assert invalid_client(credentials(client, client_id))

    def test_implicit_has_no_scope_and_may_not_introspect(self, client: MutualTLSClient) -> None:
        assert error_of(credentials(client, scope="anything")) == (400, "invalid_scope")

    def test_implicit_is_nobody_for_an_unknown_certificate(self, ca: Authority, users: dict[str, User]) -> None:
        assert invalid_client(credentials(ca.issue("alice"), "alice"))
        assert invalid_client(credentials(ca.issue("alice")))

    def test_implicit_is_replaced_by_a_registered_client_of_its_name(
        self, client: MutualTLSClient, register: Register, mtls_client: Any
    ) -> None:
        register("alice", user="bob")
        assert invalid_client(credentials(client, "alice"))
        assert invalid_client(credentials(client))
        token = said(given(mtls_client("bob"), "client_credentials", client_id="alice")["access_token"])
        assert token["sub"] == str(User.objects.get(username="bob").pk)

    def test_implicit_does_not_inherit_refresh_tokens_by_name(
        self, client: MutualTLSClient, register: Register, mtls_client: Any
    ) -> None:
        """Refresh tokens of the user `alice` do not pass to a client that is registered as `alice` later."""
        token = given(client)["refresh_token"]
        register("alice", user="bob")
        answer = refresh(mtls_client("bob"), token, client_id="alice")
        assert error_of(answer) == (400, "invalid_grant")


class TestByEnrolment:
    def test_by_enrolment_is_proven_by_every_certificate_of_its_user(
        self, client: MutualTLSClient, register: Register, ca: Authority
    ) -> None:
        register("payments", user="alice")
        second = ca.issue("anything")
        enroll(certificate=parse_pem(second.pem), user=User.objects.get(username="alice"), now=clock.now())
        for each in (client, MutualTLSClient(second)):
            assert (
                said(given(each, "client_credentials", client_id="payments")["access_token"])["client_id"] == "payments"
            )

    def test_by_enrolment_is_not_proven_by_another_s(self, register: Register, mtls_client: Any, ca: Authority) -> None:
        register("payments", user="alice")
        assert invalid_client(credentials(mtls_client("bob"), "payments"))
        assert invalid_client(credentials(ca.issue("payments"), "payments"))
        assert invalid_client(credentials(ca.issue("alice"), "payments"))
        assert invalid_client(credentials(mtls_client(None), "payments"))

    def test_by_enrolment_must_be_asked_for(self, client: MutualTLSClient, register: Register) -> None:
        """Without `client_id` the request speaks for the certificate's user, never for a client of the user."""
        register("payments", user="alice")
        assert said(given(client)["access_token"])["client_id"] == "alice"


class TestByName:
    @pytest.mark.parametrize(
        "name",
        [
            "subject_dn:CN=payments",
            "DNS:payments.example",
            "DNS:*.wild.example",
            "URI:https://payments.example/id",
            "URI:spiffe://example/payments",
            "email:payments@example",
            "IP:192.0.2.7",
            "IP:2001:db8::7",
        ],
    )
    def test_is_proven_by_that_name(self, named: Issued, register: Register, name: str) -> None:
        register(certificate_name=clients.check_name(name))
        token = said(given(MutualTLSClient(named), "client_credentials", client_id="payments")["access_token"])
        assert token["sub"] == str(User.objects.get(username="alice").pk)

    @pytest.mark.parametrize(
        "name",
        [
            "subject_dn:CN=Payments",
            "subject_dn:CN=payment",
            "subject_dn:CN=payments,O=x",
            "subject_dn:O=payments",
            "subject_dn:CN=payments.example",
            "DNS:payments",
            "DNS:Payments.example",
            "DNS:payments.example.",
            "DNS:ayments.example",
            "DNS:a.payments.example",
            "DNS:a.wild.example",
            "DNS:https://payments.example/id",
            "DNS:payments@example",
            "DNS:192.0.2.7",
            "URI:payments.example",
            "URI:https://payments.example/",
            "URI:https://payments.example/id/",
            "email:payments.example",
            "email:payments@example.com",
            "email:Payments@example",
            "IP:192.0.2.70",
            "IP:192.0.2.0",
            "IP:::ffff:192.0.2.7",
        ],
    )
    def test_is_proven_by_no_other_name(self, named: Issued, register: Register, name: str) -> None:
        register(certificate_name=clients.check_name(name))
        assert invalid_client(credentials(named, "payments"))

    @pytest.mark.parametrize("kind", ["DNS", "URI", "email", "IP", "subject_dn"])
    def test_by_name_is_of_one_kind(self, ca: Authority, register: Register, kind: str) -> None:
        """The same text as another kind of name proves nothing."""
        issued = {
            "DNS": ca.issue("x", dns_names=["name.example"]),
            "URI": ca.issue("x", uris=["name.example"]),
            "email": ca.issue("x", emails=["name.example"]),
            "IP": ca.issue("x", dns_names=["192.0.2.7"]),
            "subject_dn": ca.issue("x", dns_names=["CN=name.example"]),
        }
        value = {"IP": "192.0.2.7", "subject_dn": "CN=name.example"}.get(kind, "name.example")
        register(certificate_name=clients.check_name(f"{kind}:{value}"))
        proving = [
            each for each, certificate in issued.items() if not invalid_client(credentials(certificate, "payments"))
        ]
        assert proving == ([kind] if kind in ("DNS", "URI", "email") else [])

    def test_is_not_proven_by_a_common_name_that_looks_like_more(self, ca: Authority, register: Register) -> None:
        register(certificate_name="subject_dn:CN=payments,O=example")
        assert invalid_client(credentials(ca.issue("payments,O=example"), "payments"))

    def test_by_name_survives_a_renewal(self, ca: Authority, register: Register) -> None:
        register(certificate_name="DNS:payments.example")
        for _ in range(2):
            renewed = ca.issue("whatever", dns_names=["payments.example"])
            assert not invalid_client(credentials(renewed, "payments"))

    def test_by_name_is_not_what_its_users_certificate_says(self, client: MutualTLSClient, register: Register) -> None:
        """A client that is known by a name of the certificate is not also known by an enrolment."""
        register(user="alice", certificate_name="DNS:payments.example")
        assert invalid_client(credentials(client, "payments"))

    def test_by_name_is_as_good_as_the_authority_that_the_proxy_trusts(self, register: Register) -> None:
        """Any trusted authority may write the name (RFC 8705 section 7.4), so the proxy must trust few."""
        register(certificate_name="DNS:payments.example")
        other = Authority("Other CA").issue("x", dns_names=["payments.example"])
        assert not invalid_client(credentials(other, "payments"))
        failed = MutualTLSClient(other, HTTP_X_SSL_CLIENT_VERIFY="FAILED:unable to get local issuer certificate")
        assert credentials(failed, "payments").json()["code"] == "certificate-not-verified"

    @pytest.mark.parametrize("name", ["DNS:payments.example", "subject_dn:CN=payments"])
    def test_by_name_is_not_what_a_self_signed_certificate_says_of_itself(
        self, ca: Authority, register: Register, enrolled: Any, configure: Any, name: str
    ) -> None:
        """The holder wrote that name. The enrolment proves the key, not the name."""
        configure(CERTIFICATE_MATCHES=("self-signed",))
        register(certificate_name=name)
        own = ca.issue("payments", dns_names=["payments.example"])
        enroll(certificate=parse_pem(own.pem), user=enrolled("mallory"), now=clock.now(), is_self_signed=True)
        client = MutualTLSClient(own, HTTP_X_SSL_CLIENT_VERIFY="FAILED:self-signed certificate")
        assert said(given(client)["access_token"])["client_id"] == "mallory"
        assert invalid_client(credentials(client, "payments"))

    def test_by_name_still_acts_for_the_certificate_s_user_alone(
        self, register: Register, named: Issued, enrolled: Any
    ) -> None:
        register(certificate_name="DNS:payments.example")
        nobody = ask(MutualTLSClient(named), client_id="payments")
        assert error_of(nobody) == (400, "invalid_grant")
        enroll(certificate=parse_pem(named.pem), user=enrolled("bob"), now=clock.now())
        token = said(given(MutualTLSClient(named), client_id="payments")["access_token"])
        assert token["sub"] == str(User.objects.get(username="bob").pk)


class TestDisabled:
    @pytest.mark.parametrize("fields", [{}, {"certificate_name": "DNS:payments.example"}])
    @pytest.mark.parametrize("how", ["disabled", "deactivated"])
    def test_disabled_is_no_client(
        self, ca: Authority, register: Register, enrolled: Any, fields: dict[str, str], how: str
    ) -> None:
        issued = ca.issue("x", dns_names=["payments.example"])
        register(**fields)
        enroll(certificate=parse_pem(issued.pem), user=enrolled("alice"), now=clock.now())
        assert not invalid_client(credentials(issued, "payments"))
        if how == "disabled":
            Client.objects.update(disabled_at=clock.now())
        else:
            User.objects.update(is_active=False)
        assert invalid_client(credentials(issued, "payments"))


class TestScope:
    @pytest.mark.parametrize(
        ("wanted", "granted"),
        [
            ("read", "read"),
            ("read write", "read write"),
            ("write read", "write read"),
            ("read read", "read"),
            (" read  write ", "read write"),
            ("", None),
            ("  ", None),
        ],
    )
    def test_scope_is_what_was_asked_for(
        self, client: MutualTLSClient, register: Register, wanted: str, granted: str | None
    ) -> None:
        register(scope="read write  admin")
        answer = given(client, "client_credentials", client_id="payments", scope=wanted)
        assert answer.get("scope") == granted
        assert said(answer["access_token"]).get("scope") == granted

    @pytest.mark.parametrize(
        "wanted", ["more", "read more", "READ", "rea", "read,write", "*", "read\u00a0x", "x" * 5_000]
    )
    @pytest.mark.parametrize("grant_type", ["client_credentials", "urn:securecore:grant-type:certificate"])
    def test_scope_is_never_more(
        self, client: MutualTLSClient, register: Register, wanted: str, grant_type: str
    ) -> None:
        register(scope="read write")
        assert error_of(ask(client, grant_type, client_id="payments", scope=wanted)) == (400, "invalid_scope")

    def test_scope_can_be_narrowed_at_a_refresh_and_is_whole_again_at_the_next(
        self, client: MutualTLSClient, register: Register
    ) -> None:
        """RFC 6749 section 6: only the access token is narrowed; the refresh token keeps its scope."""
        register(scope="read write admin", rotates_refresh_tokens=True)
        token = given(client, client_id="payments", scope="read write")["refresh_token"]
        for wanted, granted in (("read", "read"), (" read  read ", "read"), (None, "read write"), ("", "read write")):
            parameters = {} if wanted is None else {"scope": wanted}
            answer = given(client, "refresh_token", refresh_token=token, client_id="payments", **parameters)
            assert answer["scope"] == said(answer["access_token"])["scope"] == granted
            token = answer["refresh_token"]

    @pytest.mark.parametrize("wanted", ["admin", "read admin", "read write more"])
    def test_scope_is_not_widened_at_a_refresh(self, client: MutualTLSClient, register: Register, wanted: str) -> None:
        register(scope="read write admin", rotates_refresh_tokens=True)
        token = given(client, client_id="payments", scope="read write")["refresh_token"]
        answer = refresh(client, token, client_id="payments", scope=wanted)
        assert error_of(answer) == (400, "invalid_scope")
        # A wrong scope is a mistake and no theft, so the refresh token is good for another try.
        assert given(client, "refresh_token", refresh_token=token, client_id="payments")["scope"] == "read write"

    def test_scope_ends_when_the_registration_loses_it(self, client: MutualTLSClient, register: Register) -> None:
        register(scope="read write")
        token = given(client, client_id="payments", scope="read write")["refresh_token"]
        Client.objects.update(scope="read")
        answer = given(client, "refresh_token", refresh_token=token, client_id="payments")
        assert said(answer["access_token"])["scope"] == "read"


class TestCheckName:
    @pytest.mark.parametrize(
        ("name", "stored"),
        [
            ("subject_dn:CN=payments", "subject_dn:CN=payments"),
            ("subject_dn:CN=payments,O=Example", "subject_dn:CN=payments,O=Example"),
            ("subject_dn:CN=\\70ayments", "subject_dn:CN=payments"),
            ("DNS:payments.example", "DNS:payments.example"),
            ("IP:2001:DB8::7", "IP:2001:db8::7"),
            ("IP:192.0.2.7", "IP:192.0.2.7"),
            ("email:a@b", "email:a@b"),
            ("URI:urn:x", "URI:urn:x"),
        ],
    )
    def test_check_name_gives_what_a_certificate_can_match(self, name: str, stored: str) -> None:
        assert clients.check_name(name) == stored

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "payments",
            "CN=payments",
            "subject_dn:",
            "subject_dn:payments",
            "subject_dn:CN=payments,,",
            "subject_dn:CN=payments, O=Example",
            "DNS:",
            "dns:payments.example",
            "Email:a@b",
            "IP:",
            "IP:192.0.2",
            "IP:192.0.2.7/32",
            "IP:payments.example",
            "issuer_dn:CN=x",
            "thumbprint:x",
            ":",
        ],
    )
    def test_check_name_refuses_what_could_match_nothing(self, name: str) -> None:
        with pytest.raises(ValidationError):
            clients.check_name(name)


@pytest.mark.parametrize("client_id", ["\0", "alice\0", "x" * 129, "x" * 1_000_000, "' OR 1=1 --"])
def test_strange_ids_are_nobody(certificate_for: Callable[[str], Issued], enrolled: Any, client_id: str) -> None:
    certificate: ClientCertificate = parse_pem(certificate_for("alice").pem)
    presented = clients.PresentedCertificate(
        thumbprint=certificate.thumbprint,
        subject=certificate.subject,
        sans=certificate.sans,
        is_verified=True,
        user=enrolled("alice"),
    )
    with pytest.raises(clients.ClientRefused):
        clients.authenticate(presented_id=client_id, certificate=presented)
    assert tokens.Client.objects.count() == 0


class TestRegister:
    def test_register_makes_a_client_that_its_certificate_proves(self, users: dict[str, User], now: Any) -> None:
        clients.register(client_id="billing", user=users["bob"], certificate_name="DNS:billing.internal", now=now)
        row = Client.objects.get(pk="billing")
        assert (row.user, row.certificate_name, row.rotates_refresh_tokens) == (
            users["bob"],
            "DNS:billing.internal",
            False,
        )

    @pytest.mark.parametrize("name", ["billing.internal", "CN:billing", "DNS:", "subject_dn:nonsense"])
    def test_register_refuses_a_name_that_matches_nothing(self, users: dict[str, User], now: Any, name: str) -> None:
        with pytest.raises(ValidationError):
            clients.register(client_id="billing", user=users["bob"], certificate_name=name, now=now)
        assert not Client.objects.exists()
