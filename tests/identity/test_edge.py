"""The command manage.py securecore_edge check: the shipped configuration passes, and each single mistake is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from securecore.deployment import nginx
from tests.support.tree import ROOT

Configure = Callable[..., str]


def codes(path: str) -> list[str]:
    return [finding.code for finding in nginx.check(path)]


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A copy of the shipped configuration, prepared as the demo prepares it."""
    folder = tmp_path / "nginx"
    shutil.copytree(ROOT / "securecore/installation/nginx", folder)
    shutil.copy(ROOT / "demo_project/site.conf", folder)
    (folder / "listen.conf").write_text("listen 127.0.0.1:8443 ssl default_server;\n")
    return folder


TLS = """
ssl_verify_client optional; ssl_client_certificate ca.pem; ssl_crl crl.pem;
ssl_session_cache off; ssl_session_tickets off;
"""
HEADERS = """
proxy_set_header X-SSL-Client-Verify $ssl_client_verify;
proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;
proxy_set_header X-Request-ID $request_id;
"""
PASS = "proxy_pass http://unix:/run/app.sock;"


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """`configure(server, http="")` writes a configuration with these lines in its only server, and returns its path."""

    def configure(server: str, http: str = "") -> str:
        path = tmp_path / "nginx.conf"
        path.write_text(f"events {{}}\nhttp {{ {http}\nserver {{ listen 443 ssl; {server} }} }}\n")
        return str(path)

    return configure


def test_ours_has_none(shipped: Path) -> None:
    assert nginx.check(str(shipped / "nginx.conf")) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "code"),
    [
        ("tls.conf", "ssl_verify_client optional;", "", "N01"),
        ("limits.conf", "underscores_in_headers off;", "underscores_in_headers on;", "N02"),
        ("tls.conf", "ssl_verify_client optional;", "ssl_verify_client optional_no_ca;", "N03"),
        ("tls.conf", "ssl_session_cache off;", "ssl_session_cache shared:tls:10m;", "N04"),
        ("tls.conf", "ssl_session_tickets off;", "ssl_session_tickets on;", "N05"),
        ("tls.conf", "ssl_session_tickets off;", "", "N05"),
        ("tls.conf", "ssl_early_data off;", "ssl_early_data on;", "N06"),
        ("tls.conf", "ssl_crl ../pki/crl.pem;", "", "N07"),
        ("site.conf", "proxy_pass http://unix:app.sock;", "uwsgi_pass unix:app.sock;", "N08"),
        ("proxied.conf", "proxy_set_header X-SSL-Client-Verify  $ssl_client_verify;", "", "N09"),
        ("proxied.conf", "$ssl_client_verify;", "$http_x_ssl_client_verify;", "N09"),
        ("proxied.conf", "$ssl_client_escaped_cert;", "$ssl_client_cert;", "N09"),
        ("site.conf", "proxy_pass http://unix:app.sock;", "proxy_pass http://127.0.0.1:8000;", "N10"),
        ("proxied.conf", "proxy_set_header X-Request-ID $request_id;", "", "N11"),
        ("proxied.conf", "X-Request-ID $request_id;", "X-Request-ID $http_x_request_id;", "N11"),
        ("proxied.conf", "X-Request-ID $request_id;", 'X-Request-ID "";', "N11"),
    ],
)
def test_a_trap_set_in_ours_is_found(shipped: Path, file: str, old: str, new: str, code: str) -> None:
    text = (shipped / file).read_text()
    assert old in text
    (shipped / file).write_text(text.replace(old, new))
    assert set(codes(str(shipped / "nginx.conf"))) == {code}


class TestHeaders:
    def test_headers_are_inherited_where_there_are_no_others(self, configure: Configure) -> None:
        assert codes(configure(TLS + HEADERS + f"location / {{ {PASS} }}")) == []
        assert codes(configure(TLS + f"location / {{ {PASS} }}", http=HEADERS)) == []

    def test_headers_are_dropped_by_one_innocent_line(self, configure: Configure) -> None:
        path = configure(TLS + HEADERS + f"location / {{ proxy_set_header Host $host; {PASS} }}")
        found = nginx.check(path)
        assert {finding.code for finding in found} == {"N09", "N11"}
        assert all("drop all inherited" in finding.problem for finding in found)

    @pytest.mark.parametrize("inner", ["location /a {{ {} }}", "if ($arg_a) {{ {} }}", "limit_except GET {{ {} }}"])
    def test_headers_are_followed_into_blocks(self, configure: Configure, inner: str) -> None:
        good = TLS + f"location / {{ {HEADERS} {inner.format(PASS)} }}"
        assert codes(configure(good)) == []
        bad = TLS + HEADERS + f"location / {{ proxy_set_header Host $host; {inner.format(PASS)} }}"
        assert codes(configure(bad)) == ["N09", "N09", "N11"]

    def test_headers_are_written_in_any_case(self, configure: Configure) -> None:
        assert codes(configure(TLS + HEADERS.replace("X-SSL", "x-Ssl") + f"location / {{ {PASS} }}")) == []

    def test_headers_of_another_way_to_the_same_application_count(self, configure: Configure) -> None:
        """Port 80 requests no certificate and forwards to the same application. So a client can forge the headers
        there.
        """
        http = f"server {{ listen 80; location / {{ {PASS} }} }}"
        server = TLS + HEADERS + f"location / {{ {PASS} }}"
        assert codes(configure(server, http)) == ["N09", "N09", "N11"]
        empty = 'proxy_set_header X-SSL-Client-Verify ""; proxy_set_header X-SSL-Client-Cert "";'
        empty += "proxy_set_header x-request-id $request_id;"
        assert codes(configure(server, http.replace(PASS, PASS + empty))) == []

    def test_headers_of_other_applications_do_not(self, configure: Configure) -> None:
        http = "server { listen 80; location / { proxy_pass http://127.0.0.1:9000; } }"
        assert codes(configure(TLS + HEADERS + f"location / {{ {PASS} }}", http)) == []


class TestSecret:
    @pytest.mark.parametrize(
        ("upstream", "found"),
        [
            ("upstream app { server unix:/run/a.sock; server unix:/run/b.sock; }", []),
            ("upstream app { server unix:/run/a.sock; server 10.0.0.7:8000; }", ["N10"]),
            ("", ["N10"]),
        ],
    )
    def test_secret_is_needed_over_tcp(self, configure: Configure, upstream: str, found: list[str]) -> None:
        server = TLS + HEADERS + "location / { proxy_pass http://app/x; }"
        assert codes(configure(server, upstream)) == found
        secret = 'proxy_set_header X-Proxy-Auth "a secret of the proxy and of the application";'
        assert codes(configure(TLS + HEADERS + secret + "location / { proxy_pass http://app/x; }", upstream)) == []


class TestCommand:
    def test_command_says_what_to_write_and_fails(self, configure: Configure) -> None:
        out = StringIO()
        path = configure(TLS.replace("ssl_session_cache off", "ssl_session_cache shared:a:1m"))
        with pytest.raises(SystemExit) as code:
            call_command("securecore_edge", "check", path, stdout=out)
        assert code.value.code == 1
        assert "N04" in out.getvalue()
        assert "Write: ssl_session_cache off;" in out.getvalue()

    def test_command_is_content_with_ours(self, shipped: Path) -> None:
        out = StringIO()
        call_command("securecore_edge", "check", str(shipped / "nginx.conf"), stdout=out)
        assert out.getvalue() == "No known trap.\n"

    @pytest.mark.parametrize("text", ["http {", "}", "events {}", "include missing.conf; http { }", "\0"])
    def test_command_says_what_cannot_be_read(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "nginx.conf").write_text(text)
        with pytest.raises(CommandError):
            call_command("securecore_edge", "check", str(tmp_path / "nginx.conf"))

    def test_command_says_that_there_is_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError):
            call_command("securecore_edge", "check", str(tmp_path / "nginx.conf"))
