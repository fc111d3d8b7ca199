"""Self-signed client certificates (RFC 8705 section 2.2): nginx proves the key, the enrolment proves the rest."""

from __future__ import annotations

import datetime as dt
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from demo_project.stack import Stack
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = "tests.acceptance.self_signed_settings"

Open = Callable[[str], httpx.Client]


def self_signed(folder: Path, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.key").write_bytes(pem)


def client_of(stack: Stack, name: str) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(stack.pki / "ca.pem"))
    context.load_cert_chain(stack.pki / f"{name}.pem", stack.pki / f"{name}.key")
    return httpx.Client(base_url=stack.url, verify=context, trust_env=False, timeout=30)


def refused_by_nginx(stack: Stack) -> bool:
    with client_of(stack, "unknown") as client:
        return bool(client.get("/healthz").json().get("code") == "certificate-refused")


def enrol(stack: Stack, name: str, *, is_self_signed: bool) -> None:
    code = f"""
from django.contrib.auth.models import User
from securecore import clock, identity
certificate = identity.parse_pem(open({str(stack.pki / f"{name}.pem")!r}).read())
user = User.objects.get(username="service")
identity.enroll(certificate=certificate, user=user, now=clock.now(), is_self_signed={is_self_signed})
"""
    environ = os.environ | {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "DEMO_VAR": str(stack.var),
        "PORT": str(stack.port),
        "DATABASE_URL": "",
    }
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", code]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, timeout=600)


@pytest.fixture(scope="module")
def lenient() -> Iterator[Stack]:
    """The demo behind an nginx that demands no authority for a client certificate."""
    options = ("-w", "1", "--env", f"DJANGO_SETTINGS_MODULE={SETTINGS}")
    with (
        tempfile.TemporaryDirectory(prefix="securecore-self-signed-") as var,
        Stack(port=free_port(), var=Path(var), gunicorn=options) as running,
    ):
        tls = running.var / "nginx" / "tls.conf"
        strict = tls.read_text()
        assert "ssl_verify_client optional;" in strict
        # With a CRL nginx refuses the certificate of every authority without one, so only securecore's list can
        # revoke here.
        lines = strict.replace("ssl_verify_client optional;", "ssl_verify_client optional_no_ca;").splitlines()
        tls.write_text("\n".join(line for line in lines if not line.startswith("ssl_crl ")))
        running.reload_nginx()
        for name in ("enrolled", "unknown", "enrolled-as-any"):
            self_signed(running.pki, name)
        deadline = time.monotonic() + 60
        # Until nginx has read the new configuration, it refuses with a page of another code.
        while refused_by_nginx(running):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        enrol(running, "enrolled", is_self_signed=True)
        enrol(running, "enrolled-as-any", is_self_signed=False)
        yield running


@pytest.fixture
def open_lenient(lenient: Stack) -> Iterator[Open]:
    clients: list[httpx.Client] = []

    def open_lenient(name: str) -> httpx.Client:
        clients.append(client_of(lenient, name))
        return clients[-1]

    yield open_lenient
    for client in clients:
        client.close()


class TestSelfSigned:
    def test_self_signed_client_gets_a_token_that_is_bound_to_its_certificate(self, open_lenient: Open) -> None:
        client = open_lenient("enrolled")
        form = {"grant_type": "client_credentials", "client_id": "service"}
        token = client.post("/oauth/token", data=form).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.get("/api/reports", headers=bearer).status_code == 200
        assert open_lenient("alice").get("/api/reports", headers=bearer).status_code == 401

    def test_self_signed_certificate_says_who_it_is(self, open_lenient: Open) -> None:
        assert open_lenient("enrolled").get("/api/whoami").json()["user"] == "service"

    @pytest.mark.parametrize("name", ["unknown", "enrolled-as-any", "stranger"])
    def test_self_signed_certificate_that_nobody_vouches_for_is_refused(self, open_lenient: Open, name: str) -> None:
        answer = open_lenient(name).get("/api/whoami")
        assert (answer.status_code, answer.json()["code"]) == (403, "certificate-not-verified")
        form = {"grant_type": "client_credentials", "client_id": "service"}
        assert open_lenient(name).post("/oauth/token", data=form).status_code == 403

    def test_self_signed_does_not_make_a_bad_certificate_good(self, open_lenient: Open) -> None:
        assert open_lenient("expired").get("/api/whoami").status_code == 403

    def test_self_signed_leaves_the_others_as_they_were(self, open_lenient: Open) -> None:
        assert open_lenient("alice").get("/api/whoami").json()["user"] == "alice"

    def test_self_signed_is_said_in_the_metadata(self, open_lenient: Open) -> None:
        metadata = open_lenient("alice").get("/.well-known/oauth-authorization-server").json()
        assert "self_signed_tls_client_auth" in metadata["token_endpoint_auth_methods_supported"]
