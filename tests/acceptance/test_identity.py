"""The caller of each request, through the real nginx."""

from __future__ import annotations

import base64
import hashlib
import socket
import ssl
import warnings
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from demo_project.stack import Stack

Open = Callable[..., httpx.Client]


def thumbprint(stack: Stack, name: str) -> str:
    certificate = x509.load_pem_x509_certificate((stack.pki / f"{name}.pem").read_bytes())
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class TestCertificate:
    @pytest.mark.parametrize("name", ["alice", "bob", "carol", "service"])
    def test_certificate_says_who_it_is(self, stack: Stack, open_client: Open, name: str) -> None:
        answer = open_client(name).get("/api/whoami").json()
        assert answer["user"] == name
        assert answer["certificate"]["thumbprint"] == thumbprint(stack, name)
        assert (answer["session"], answer["token"]) == (False, None)

    @pytest.mark.parametrize("name", ["revoked", "expired", "stranger"])
    @pytest.mark.parametrize("path", ["/api/whoami", "/healthz", "/"])
    def test_certificate_that_is_not_good_gets_a_clear_refusal(self, open_client: Open, name: str, path: str) -> None:
        answer = open_client(name).get(path)
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "certificate-refused"

    def test_certificate_that_is_missing_gets_a_clear_refusal(self, open_client: Open) -> None:
        answer = open_client().get("/api/whoami")
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "authentication-required"

    def test_certificate_is_not_needed_to_ask_how_it_goes(self, open_client: Open) -> None:
        assert open_client().get("/healthz").status_code == 200

    def test_certificate_revoked_by_us_is_refused_on_the_open_connection(
        self, stack: Stack, open_client: Open, shell: Any
    ) -> None:
        """Only securecore has the revocation: the CRL that nginx read does not list it."""
        from securecore import clock
        from securecore.installation import certificates

        certificates.issue(stack.pki, "dave", now=clock.now())
        pem = stack.pki / "dave.pem"
        shell(
            "shell",
            "-v",
            "0",
            "-c",
            f"""
from django.contrib.auth.models import User
from securecore import clock, identity
certificate = identity.parse_pem(open({str(pem)!r}).read())
identity.enroll(certificate=certificate, user=User.objects.create(username="dave"), now=clock.now())
""",
        )
        client = open_client("dave")
        with client.stream("GET", "/api/whoami") as first:
            connection = first.extensions["network_stream"].get_extra_info("socket").fileno()
            assert first.status_code == 200
            first.read()
        revoke = f"from securecore.revocation import *; revoke_certificate(thumbprint={thumbprint(stack, 'dave')!r})"
        shell("shell", "-v", "0", "-c", revoke)
        with client.stream("GET", "/api/whoami") as second:
            assert second.extensions["network_stream"].get_extra_info("socket").fileno() == connection
            second.read()
            assert (second.status_code, second.json()["code"]) == (403, "certificate-revoked")


FORGED = [
    "X-SSL-Client-Verify",
    "x-ssl-client-verify",
    "X_SSL_Client_Verify",
    "X-SSL_Client-Verify",
    "X.SSL.Client.Verify",
]


class TestForgedHeaders:
    @pytest.mark.parametrize("verify", FORGED)
    @pytest.mark.parametrize("escape", [True, False])
    def test_forged_headers_name_nobody(self, stack: Stack, open_client: Open, verify: str, escape: bool) -> None:
        from urllib.parse import quote

        pem = (stack.pki / "alice.pem").read_text()
        value = quote(pem, safe="") if escape else pem.replace("\n", " ").strip()
        certificate = verify.lower().replace("verify", "cert")
        headers = [(verify, "SUCCESS"), (certificate, value), (certificate.upper(), value), ("Client-Cert", value)]
        assert open_client().get("/api/whoami", headers=headers).status_code == 401

    def test_forged_headers_do_not_change_who_somebody_is(self, stack: Stack, open_client: Open) -> None:
        from urllib.parse import quote

        pem = quote((stack.pki / "alice.pem").read_text(), safe="")
        headers = [("X-SSL-Client-Verify", "SUCCESS"), ("X-SSL-Client-Cert", pem), ("X-SSL-Client-Cert", pem)]
        assert open_client("bob").get("/api/whoami", headers=headers).json()["user"] == "bob"


class TestTLS:
    def context(self, stack: Stack) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(stack.pki / "ca.pem"))
        context.load_cert_chain(stack.pki / "alice.pem", stack.pki / "alice.key")
        return context

    def get(self, stack: Stack, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> Any:
        with (
            socket.create_connection(("127.0.0.1", stack.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while connection.recv(4096):
                pass
            return connection.version(), connection.session, connection.session_reused

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_tls_resumes_no_session(self, stack: Stack, version: ssl.TLSVersion) -> None:
        """nginx would treat the certificate of a resumed session as verified after its revocation or expiry."""
        context = self.context(stack)
        context.minimum_version = context.maximum_version = version
        spoken, session, _ = self.get(stack, context)
        assert spoken == version.name.replace("_", ".")
        assert self.get(stack, context, session)[2] is False

    def test_tls_speaks_nothing_older(self, stack: Stack) -> None:
        context = self.context(stack)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the deprecated setting is the subject of this test
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(ssl.SSLError, match=r"(?i)alert|protocol"):
            self.get(stack, context)


def test_a_new_crl_holds_after_a_reload(stack: Stack, open_client: Open) -> None:
    import time

    from securecore import clock
    from securecore.installation import certificates

    certificates.issue(stack.pki, "erin", now=clock.now())
    assert open_client("erin").get("/healthz").status_code == 200
    certificates.revoke(stack.pki, "erin", now=clock.now())
    stack.reload_nginx()
    deadline = time.monotonic() + 60
    while open_client("erin").get("/healthz").status_code != 403:
        assert time.monotonic() < deadline
        time.sleep(0.1)
