"""The files of a deployment: their names, contents and modes, and how they are written."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from securecore.errors import Misuse
from securecore.installation import certificates
from securecore.installation.project import Project

_HERE = Path(__file__).parent
_SNIPPETS = ("site.conf", "limits.conf", "tls.conf", "proxied.conf", "refused.conf")
_UNITS = (".service", ".socket", "-purge.service", "-purge.timer")
_NAME = re.compile(r"@([a-z_]+)@")
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")


@dataclass(frozen=True)
class PlannedFile:
    """A file below the folder of the deployment."""

    path: Path
    content: str
    mode: int = 0o644


def planned_files(project: Project) -> list[PlannedFile]:
    """Return every file but the certificates. The keys in them are new at each call."""
    return [*_nginx(project), _gunicorn(project), *_systemd(project), _scan_plan(project), *_secrets(project)]


def write(project: Project, files: list[PlannedFile], *, force: bool) -> None:
    """Write ``files``, each whole or not at all.

    Raises ``Misuse`` without ``force`` if one of them exists, and writes none. Keys are kept even with ``force``, since
    tokens and stored responses depend on them.
    """
    existing = [file.path for file in files if (project.deploy / file.path).exists()]
    if existing and not force:
        names = ", ".join(map(str, existing[:3]))
        raise Misuse(
            f"{project.deploy} has {names}, perhaps with changes of yours. To replace all but keys and certificates, "
            "pass --force."
        )
    for file in files:
        path = project.deploy / file.path
        is_secret = file.mode == 0o600
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if is_secret else 0o755)
        if not (is_secret and path.exists()):
            certificates.write(path, file.content.encode(), mode=file.mode)


def clients_of(project: Project, named: Sequence[str]) -> tuple[str, ...]:
    """Return the clients that have a certificate already, and then those of ``named``.

    Raises ``Misuse`` for a name that no file can have.
    """
    for name in named:
        if not _CLIENT.fullmatch(name):
            raise Misuse(f"{name!r} is no name of a file: write letters, digits, '.', '_', '@' and '-'.")
    existing = sorted(path.stem for path in project.certificates.glob("*.p12"))
    return tuple(dict.fromkeys([*existing, *named]))


def has_authority(project: Project) -> bool:
    """Say whether the folder has an authority for development, which can issue one more certificate."""
    return (project.certificates / "ca.key").exists()


def write_certificates(project: Project, *, now: dt.datetime) -> list[str]:
    """Write an authority, a server certificate and one for each client. Keep those that exist; return the new names."""
    folder = project.certificates
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (project.deploy / "log").mkdir(exist_ok=True)
    project.run.mkdir(mode=0o755, parents=True, exist_ok=True)  # nginx, started first, has its temporary files there
    if not (folder / "ca.pem").exists():
        authority = certificates.new_authority(f"{project.name} development CA", now=now)
        certificates.write_pair(folder, "ca", authority)
        certificates.issue_server(folder, authority, host=project.host, now=now)
        certificates.write_crl(folder, authority, [], now=now)
    new = [name for name in project.clients if not (folder / f"{name}.pem").exists()]
    for name in new:
        certificates.issue(folder, name, now=now)
    return new


def rendered(text: str, facts: dict[str, str]) -> str:
    """Return ``text`` with each name between two ``@`` replaced. Raises ``KeyError`` for an unknown name."""
    return _NAME.sub(lambda found: facts[found[1]], text)


def _nginx(project: Project) -> Iterator[PlannedFile]:
    facts = project.facts()
    for name in _SNIPPETS:
        # Beside the demo the certificates lie in ../pki. A distribution's nginx takes relative paths from /etc/nginx.
        text = (_HERE / "nginx" / name).read_text().replace("../pki/", f"{project.certificates}/")
        yield PlannedFile(Path("nginx", name), rendered(text, facts))
    if project.is_development:
        yield PlannedFile(Path("nginx", "nginx.conf"), _user_line(project) + _whole_nginx(project))


def _whole_nginx(project: Project) -> str:
    """Return nginx.conf with absolute paths, so that nginx starts in any folder."""
    text = (_HERE / "nginx" / "nginx.conf").read_text().replace("error_log stderr", f"error_log {project.error_log}")
    return re.sub(r"(pid|\w+_temp_path) (?=\w)", rf"\1 {project.run}/", text)


def _user_line(project: Project) -> str:
    if not project.is_shared_socket:
        return ""
    facts = project.facts()
    return f"# The workers of an nginx that root starts.\nuser {facts['nginx_user']} {facts['socket_group']};\n\n"


def _gunicorn(project: Project) -> PlannedFile:
    group = project.socket_group if project.is_shared_socket else ""
    own = (
        "\n# --- this project\n\n"
        f'wsgi_app = "{project.wsgi}"\nchdir = "{project.base}"\nbind = ["unix:{project.socket}"]\n'
        f'SOCKET_GROUP = "{group}"\n'
    )
    return PlannedFile(Path("gunicorn.conf.py"), (_HERE / "gunicorn.conf.py").read_text() + own)


def _systemd(project: Project) -> Iterator[PlannedFile]:
    for unit in _UNITS:
        text = (_HERE / "systemd" / f"app{unit}").read_text()
        yield PlannedFile(Path("systemd", f"{project.name}{unit}"), rendered(text, project.facts()))


def _scan_plan(project: Project) -> PlannedFile:
    return PlannedFile(Path("scan.toml"), rendered((_HERE / "scan.toml").read_text(), project.facts()))


def _secrets(project: Project) -> Iterator[PlannedFile]:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    yield PlannedFile(Path("secrets", "token_signing_key.pem"), key.decode(), 0o600)
    yield PlannedFile(Path("secrets", "encryption_key"), Fernet.generate_key().decode(), 0o600)
    # The keys of a project never get into its repository.
    yield PlannedFile(Path(".gitignore"), "secrets/\npki/\nlog/\nrun/\n")
