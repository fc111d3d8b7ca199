"""The tests that every edge must pass. Each test_*.py of this folder starts one proxy as its `edge`
and inherits them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from cryptography import x509

from securecore.testing import Issued
from tests.acceptance.proxies.edge import SECRET, Edge, ask, program
from tests.identity.test_sources import CERTIFICATE, SUCCESS, encoded

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "lower case": str.lower,
    "upper case": str.upper,
    "underscores": lambda name: name.replace("-", "_"),
    "one underscore": lambda name: "_".join(name.rsplit("-", 1)),
    "lower case, underscores": lambda name: name.lower().replace("-", "_"),
    "dots": lambda name: name.replace("-", "."),
}
VERIFY = ("X-SSL-Client-Verify", "SSL-Client-Verify")
_REVOKE = """
from django.core.management import call_command
call_command("securecore_certificates", "revoke", *{paths!r})
"""


def issued(edge: Edge, name: str) -> Issued:
    key: Any = None
    return Issued(x509.load_pem_x509_certificate((edge.ground.pki / f"{name}.pem").read_bytes()), key)


def claims(edge: Edge, name: str) -> Iterator[list[tuple[str, str]]]:
    """Return all headers in which a client could claim to be NAME, in the spelling of each proxy."""
    certificate = issued(edge, name)
    for source, header in CERTIFICATE.items():
        value = encoded(source, certificate)
        for verify in {SUCCESS.get(source, "SUCCESS"), "SUCCESS"}:
            yield [(header, value), *((each, verify) for each in VERIFY)]
    yield [("SSL-Client-Cert", quote(certificate.pem, safe="")), *((each, "SUCCESS") for each in VERIFY)]


class Contract:
    #: The source of the proxy's headers, also for tests that forge them.
    source: ClassVar[str]
    #: Whether the proxy reads a CRL. Otherwise only the application knows the revoked certificates.
    reads_crl: ClassVar[bool] = True
    #: Whether the proxy resumes TLS sessions. It would not check the certificate of a resumed session again.
    resumes: ClassVar[bool] = False
    #: Whether the proxy reaches gunicorn over TCP. Then gunicorn knows the proxy only by an address, which others here
    #: share.
    is_over_tcp: ClassVar[bool] = False

    @pytest.mark.parametrize("name", ["alice", "bob", "carol"])
    def test_certificate_is_the_one_getpeercert_sees(self, edge: Edge, oracle: Callable[[str], str], name: str) -> None:
        answer = edge.ask(name)
        assert answer.status == 200
        assert (answer.body["user"], answer.body["thumbprint"]) == (name, oracle(name))
        assert answer.body["claims"] == []

    def test_nobody_is_nobody(self, edge: Edge) -> None:
        answer = edge.ask(None)
        assert (answer.status, answer.body["user"], answer.body["thumbprint"]) == (200, None, None)

    @pytest.mark.parametrize("name", ["expired", "stranger"])
    def test_certificate_that_is_not_good_never_arrives(self, edge: Edge, name: str) -> None:
        assert edge.ask(name).status in (0, 400, 403)

    def test_revoked_certificate_is_refused(self, edge: Edge) -> None:
        """The proxy refuses it by the CRL, or else the application by its own list."""
        answer = edge.ask("revoked")
        assert answer.status in ((0, 400, 403) if self.reads_crl else (403,))
        assert (answer.body.get("code") == "certificate-revoked") is not self.reads_crl

    @pytest.mark.parametrize("spelling", SPELLINGS)
    @pytest.mark.parametrize("who", [None, "bob"])
    def test_forged_header_is_nobody(self, edge: Edge, who: str | None, spelling: str) -> None:
        spell = SPELLINGS[spelling]
        with contextlib.closing(edge.connection(edge.context(who))) as connection:
            for claim in claims(edge, "alice"):
                answer = ask(connection, [(spell(name), value) for name, value in claim])
                assert (answer.status, answer.body["user"]) == (200, who), claim[0][0]

    @pytest.mark.parametrize("who", [None, "bob"])
    def test_forged_header_over_http_2_is_nobody(self, edge: Edge, who: str | None) -> None:
        """HTTP/2 header fields are lower case, and reach the proxy by another code path."""
        spellings = [SPELLINGS[name] for name in ("lower case", "lower case, underscores", "dots")]
        forged = [
            [(spell(name).lower(), value) for name, value in claim]
            for spell in spellings
            for claim in claims(edge, "alice")
        ]
        answers = edge.ask_over_http_2(who, forged)
        assert len(answers) == len(forged)
        assert {(answer.status, answer.body["user"]) for answer in answers} == {(200, who)}

    @pytest.mark.parametrize("who", [None, "bob"])
    def test_doubled_header_is_nobody(self, edge: Edge, who: str | None) -> None:
        with contextlib.closing(edge.connection(edge.context(who))) as connection:
            for claim in claims(edge, "alice"):
                for headers in ([*claim, *claim], [*claim, *((name.lower(), value) for name, value in claim)]):
                    answer = ask(connection, headers)
                    assert (answer.status, answer.body["user"]) == (200, who), claim[0][0]

    @pytest.mark.parametrize("who", [None, "bob"])
    @pytest.mark.parametrize("spoil", ["{} ", "{}\t", " {}"])
    def test_header_with_a_blank_is_nobody(self, edge: Edge, who: str | None, spoil: str) -> None:
        for claim in claims(edge, "alice"):
            header = (spoil.replace("{}", claim[0][0]), claim[0][1])
            with contextlib.suppress(ValueError):  # http.client itself refuses a blank in front
                answer = edge.ask(who, [header, *claim[1:]])
                assert answer.status in (0, 400) or answer.body["user"] == who

    def test_secret_of_the_proxy_is_no_client_s(self, edge: Edge) -> None:
        """A client that learned the secret still comes through the proxy, which names the real certificate."""
        for claim in claims(edge, "alice"):
            assert edge.ask("bob", [*claim, ("X-Proxy-Auth", SECRET)]).body["user"] == "bob"

    def test_direct_way_over_tcp_is_nobody(self, edge: Edge) -> None:
        for claim in claims(edge, "alice"):
            for secret in ([], [("X-Proxy-Auth", "")], [("X-Proxy-Auth", SECRET[::-1])]):
                answer = edge.ask_directly([*claim, *secret])
                assert (answer.status, answer.body["user"], answer.body["claims"]) == (200, None, [])

    def test_request_id_is_the_proxy_s_or_the_application_s(self, edge: Edge) -> None:
        """A client that chooses the id could hide its requests behind those of another client in the logs."""
        seen = [edge.ask(name, [("X-Request-ID", "a" * 32)]) for name in (None, "alice")]
        if self.source != "gunicorn":  # without a proxy there is no way past it
            seen.append(edge.ask_directly([("X-Request-ID", "a" * 32)]))
        ids = [answer.body["request_id"] for answer in seen]
        assert len({*ids, "a" * 32}) == len(ids) + 1
        assert all(len(each) >= 32 for each in ids)

    def test_scheme_is_the_proxy_s_word(self, edge: Edge) -> None:
        """Django compares origins and signed URLs with the scheme."""
        forged = [("X-Forwarded-Proto", "http"), ("X-Forwarded-Protocol", "http"), ("X-Forwarded-Ssl", "off")]
        assert edge.ask("alice", forged).body["scheme"] == "https"
        forged = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Protocol", "ssl"), ("X-Forwarded-Ssl", "on")]
        assert edge.ask_directly(forged).body["scheme"] == ("https" if self.is_over_tcp else "http")

    def test_direct_way_over_the_socket_is_closed(self, edge: Edge) -> None:
        assert stat.S_IMODE(edge.socket.stat().st_mode) & 0o077 == 0
        if os.geteuid() != 0:
            return  # only root can act as another account; otherwise only the mode can be tested
        os.chmod(edge.ground.var, 0o711)
        os.chmod(edge.folder, 0o711)
        with socket.socket(socket.AF_UNIX) as stranger, somebody_else(), pytest.raises(PermissionError):
            stranger.connect(str(edge.socket))

    def test_tls_is_what_mozilla_asks_for(self, edge: Edge) -> None:
        if self.source != "nginx" and not os.environ.get("SCAN_EVERY_EDGE"):
            pytest.skip(f"SCAN_EVERY_EDGE=1, as in `make soak`, has the TLS of {edge.name} scanned too (6 s)")
        roots = str(edge.ground.pki / "ca.pem")
        scan = [program("sslyze"), "--mozilla_config=intermediate", "--certinfo_ca_file", roots]
        scan.append(f"localhost:{edge.port}")
        done = subprocess.run(scan, capture_output=True, text=True, check=False, timeout=600)
        assert "OK - Compliant" in done.stdout, done.stdout.partition("COMPLIANCE")[2]

    def test_revoked_by_us_is_refused_at_once(self, edge: Edge) -> None:
        """On an open connection, and in a resumed TLS session. No proxy checks the certificate of either again."""
        names = [f"{edge.name}-{how}" for how in ("keeps", "resumes-TLSv1_2", "resumes-TLSv1_3")]
        versions = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
        resuming = [edge.ask_twice_in_one_session(*each) for each in zip(names[1:], versions, strict=True)]
        revoked = [str(edge.ground.pki / f"{name}.pem") for name in names]
        with (
            edge.ground.waiting(_REVOKE.format(paths=revoked)) as revoke,
            contextlib.closing(edge.connection(edge.context(names[0]))) as connection,
        ):
            assert ask(connection, ()).body["user"] == names[0]
            assert [(answer.body["user"], reused) for answer, reused in map(next, resuming)] == [
                (name, False) for name in names[1:]
            ]
            wire: Any = connection.sock
            revoke()
            kept = ask(connection, ())
            assert connection.sock is wire  # the same connection
        assert (kept.status, kept.body["code"]) == (403, "certificate-revoked")
        for answer, reused in map(next, resuming):
            assert reused is self.resumes
            assert (answer.status, answer.body["code"]) == (403, "certificate-revoked")


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """Act as an account without rights."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
