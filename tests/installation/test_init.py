"""manage.py securecore_init writes the files of a deployment, and prints settings that work."""

from __future__ import annotations

import ast
import re
import shutil
import ssl
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.core.management import CommandError

from securecore.deployment import nginx
from securecore.installation.project import this_project
from securecore_scan import planfile

Init = Callable[..., tuple[str, str]]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _in_force(text: str) -> list[str]:
    """Return the lines that are no comment."""
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]


class TestFiles:
    def test_names(self, init: Init) -> None:
        init()
        assert sorted(contents(Path("deploy"))) == [
            ".gitignore",
            "gunicorn.conf.py",
            *(f"nginx/{name}.conf" for name in ("limits", "proxied", "refused", "site", "tls")),
            "scan.toml",
            "secrets/encryption_key",
            "secrets/token_signing_key.pem",
            *(f"systemd/tests{unit}" for unit in ("-purge.service", "-purge.timer", ".service", ".socket")),
        ]

    def test_no_name_is_left_to_replace(self, init: Init) -> None:
        init("--development")
        written = {name: text for name, text in contents(Path("deploy")).items() if not name.endswith(".p12")}
        assert not [name for name, text in written.items() if re.search(rb"@[a-z_]+@", text)]

    def test_secrets_are_of_their_owner_alone(self, init: Init) -> None:
        init("--development")
        private = [path for pattern in ("secrets/*", "pki/*.key", "pki/*.p12") for path in Path("deploy").glob(pattern)]
        assert len(private) == 8
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
        assert {stat.S_IMODE(Path("deploy", name).stat().st_mode) for name in ("secrets", "pki")} == {0o700}
        assert {"secrets/", "pki/"} <= set(Path("deploy/.gitignore").read_text().split())

    def test_replaces_nothing(self, init: Init) -> None:
        init("--development")
        Path("deploy/nginx/site.conf").write_text("mine")
        before = contents(Path("deploy"))
        with pytest.raises(CommandError, match=r"site\.conf.*--force"):
            init("--development")
        assert contents(Path("deploy")) == before

    def test_force_keeps_keys_and_certificates(self, init: Init) -> None:
        init("--development")
        before = contents(Path("deploy"))
        Path("deploy/nginx/site.conf").write_text("mine")
        init("--development", "--force", "--client", "carol")
        after = contents(Path("deploy"))
        assert {name: after[name] for name in before} == before
        assert set(after) - set(before) == {f"pki/carol.{kind}" for kind in ("key", "p12", "pem")}

    def test_one_more_client_changes_no_other_file(self, init: Init) -> None:
        init("--development")
        Path("deploy/nginx/site.conf").write_text("mine")
        before = contents(Path("deploy"))
        printed, said = init("--development", "--client", "carol")
        assert (printed, "enroll USER deploy/pki/carol.pem" in said) == ("", True)
        after = contents(Path("deploy"))
        assert {name: after[name] for name in before} == before
        assert set(after) - set(before) == {f"pki/carol.{kind}" for kind in ("key", "p12", "pem")}
        assert init("--development", "--client", "carol")[1] == "Each of these clients has a certificate already.\n"
        assert contents(Path("deploy")) == after

    def test_file_that_cannot_be_written(self, init: Init) -> None:
        Path("deploy").write_text("a file")
        with pytest.raises(CommandError, match="Cannot write"):
            init()

    def test_unknown_group_is_refused(self, init: Init) -> None:
        with pytest.raises(CommandError, match="no group 'nginx-of-nobody'"):
            init("--socket-group", "nginx-of-nobody")
        assert not Path("deploy").exists()

    def test_name_is_that_of_the_project(self, init: Init, settings: Any, tmp_path: Path) -> None:
        settings.ROOT_URLCONF, settings.WSGI_APPLICATION = "config.urls", "config.wsgi.application"
        (tmp_path / "shop").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path / "shop")
            init()
            assert 'wsgi_app = "config.wsgi:application"' in Path("deploy/gunicorn.conf.py").read_text()
            assert Path("deploy/systemd/shop.service").exists()
        init("--name", "another")
        assert "User=another" in Path("deploy/systemd/another.service").read_text()

    @pytest.mark.parametrize("name", ["My Shop", "../x", "-x", "x" * 40, "shop;id"])
    def test_name_that_no_account_can_have(self, init: Init, name: str) -> None:
        with pytest.raises(CommandError, match="--name shop"):
            init(f"--name={name}")
        assert not Path("deploy").exists()

    def test_socket_that_the_kernel_refuses(self, tmp_path: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("os.geteuid", lambda: 1000)
            with pytest.raises(RuntimeError, match="107 bytes"):
                this_project(tmp_path / ("a" * 100), host="", port=0, socket_group="", is_development=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--host", "https://pay.example"),
        ("--host", "pay.example;"),
        ("--development", "--client", "a/b"),
        ("--development", "--client", ".x"),
    ],
    ids=" ".join,
)
def test_name_that_no_host_or_file_has_writes_nothing(init: Init, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="is no name of a"):
        init(*arguments)
    assert not Path("deploy").exists()


def test_settings_are_printed_also_where_the_guide_is_silent(init: Init) -> None:
    printed, guide = init("--host", "pay.example", "-v", "0")
    assert 'ALLOWED_HOSTS = [*ALLOWED_HOSTS, "pay.example"]' in printed
    assert guide == ""


class TestContents:
    def test_shipped_nginx_has_no_trap(self, init: Init) -> None:
        init("--development")
        assert nginx.check("deploy/nginx/nginx.conf") == []

    def test_production_names_the_host_and_absolute_paths(self, init: Init) -> None:
        _, said = init("--host", "pay.example", "--socket-group", "nogroup")
        site = Path("deploy/nginx/site.conf").read_text()
        assert "server_name pay.example;" in site
        assert "listen 443 ssl" in site
        assert "proxy_pass http://unix:/run/tests/app.sock;" in site
        assert "ssl_crl /etc/tests/pki/crl.pem;" in Path("deploy/nginx/tls.conf").read_text()
        assert "SocketGroup=nogroup" in Path("deploy/systemd/tests.socket").read_text()
        assert 'SOCKET_GROUP = "nogroup"' in Path("deploy/gunicorn.conf.py").read_text()
        assert "systemctl enable --now tests.socket" in said

    def test_systemd_accepts_the_units(self, init: Init) -> None:
        if not (systemd := shutil.which("systemd-analyze")):
            pytest.skip("systemd-analyze is not installed: whether systemd reads the units is not known")
        init()
        units = sorted(map(str, Path("deploy/systemd").iterdir()))
        verified = subprocess.run([systemd, "verify", *units], capture_output=True, text=True, check=False)
        complaints = [line for line in verified.stderr.splitlines() if "deploy/systemd" in line or "tests" in line]
        assert not [line for line in complaints if "not executable" not in line and "Failed to" not in line], complaints

    def test_scanner_reads_the_plan(self, init: Init) -> None:
        init("--development")
        assert planfile.load(Path("deploy/scan.toml")).identities.owner is not None

    @pytest.mark.parametrize("named", [["billing"], ["billing", "shop"], ["billing", "shop", "desk"]])
    def test_each_line_names_the_clients_that_were_given(self, init: Init, named: list[str]) -> None:
        options = [word for name in named for word in ("--client", name)]
        printed, said = init(
            "--development", "--host", "api.bank.example", "--port", "9443", "--name", "bank", *options
        )
        assert re.findall(r"enroll USER (\S+)", said) == [f"deploy/pki/{name}.pem" for name in named]
        texts = {name: text.decode() for name, text in contents(Path("deploy")).items() if "pki/" not in name}
        for name, text in {"printed": printed, "said": said, **texts}.items():
            assert not re.search(r"\b(alice|bob)\b.(pem|key)|localhost:|8443", text), name
            for path in re.findall(r"[\w./-]*/pki/[\w-]+\.(?:pem|key)", "\n".join(_in_force(text))):
                assert Path(path).exists(), (name, path)
        identities = planfile.load(Path("deploy/scan.toml")).identities
        assert (identities.owner is not None, identities.second is not None) == (True, len(named) > 1)

    @pytest.mark.parametrize(
        ("host", "names"), [("pay.example", ["localhost", "pay.example"]), ("192.0.2.7", ["localhost"])]
    )
    def test_server_certificate_has_the_name_that_was_given(self, init: Init, host: str, names: list[str]) -> None:
        init("--development", "--host", host)
        certificate = x509.load_pem_x509_certificate(Path("deploy/pki/server.pem").read_bytes())
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert found.get_values_for_type(x509.DNSName) == names
        addresses = ["127.0.0.1", "::1", *([host] if host not in names else [])]
        assert [str(each) for each in found.get_values_for_type(x509.IPAddress)] == addresses

    def test_client_without_an_authority_is_a_mistake(self, init: Init) -> None:
        with pytest.raises(CommandError, match="pass both"):
            init("--client", "billing")
        assert not Path("deploy").exists()

    def test_client_certificate_is_of_the_authority_that_nginx_trusts(self, init: Init) -> None:
        init("--development")
        authority = x509.load_pem_x509_certificate(Path("deploy/pki/ca.pem").read_bytes())
        for name in ("alice", "bob", "server"):
            certificate = x509.load_pem_x509_certificate(Path(f"deploy/pki/{name}.pem").read_bytes())
            certificate.verify_directly_issued_by(authority)
            ssl.create_default_context().load_cert_chain(f"deploy/pki/{name}.pem", f"deploy/pki/{name}.key")


class TestSettings:
    def test_standard_output_is_the_settings_alone(self, init: Init) -> None:
        printed, _ = init("--host", "pay.example")
        names = {
            target.id
            for node in ast.parse(printed).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert {"MIDDLEWARE", "REST_FRAMEWORK", "SECURECORE", "SESSION_ENGINE", "AUTHENTICATION_BACKENDS"} <= names
        assert '"https://pay.example"' in printed
        assert "BEGIN PRIVATE KEY" not in printed

    def test_events_are_logged_unless_the_project_logs_already(self, init: Init, settings: Any) -> None:
        line = "from securecore.json_logs import LOGGING"
        assert line in init()[0]
        shutil.rmtree("deploy")
        assert line not in init("--development")[0]
        shutil.rmtree("deploy")
        settings.LOGGING = {"version": 1}
        assert line not in init()[0]

    def test_development_identity_is_for_development(self, init: Init) -> None:
        assert "middleware(MIDDLEWARE)  #" in init()[0]
        shutil.rmtree("deploy")
        assert "middleware(MIDDLEWARE, development=DEBUG)" in init("--development")[0]
