"""The facts of a project and of this machine that the files of a deployment name."""

from __future__ import annotations

import grp
import os
import pwd
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from securecore.conf import django_settings
from securecore.errors import Misuse

#: The groups of nginx's workers, in the packages of Debian and Ubuntu, and of Red Hat, SUSE and nginx.org.
_NGINX_GROUPS = ("www-data", "nginx", "nogroup", "nobody")
_NAMES_OF_NO_PROJECT = ("app", "backend", "conf", "config", "core", "project", "settings", "src", "www")
#: useradd(8) of Debian.
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
#: The longest path of a unix socket: sun_path of unix(7) has 108 bytes, the last of which is 0.
_LONGEST_SOCKET = 107


@dataclass(frozen=True)
class Project:
    """A project on this machine. ``deploy`` is the folder of the files, ``base`` that of manage.py."""

    name: str
    wsgi: str
    base: Path
    deploy: Path
    socket_group: str
    host: str
    port: int
    is_development: bool
    #: The clients with a certificate, in development. In production two names for canary accounts.
    clients: tuple[str, ...] = ("alice", "bob")

    @property
    def origin(self) -> str:
        """The address of the service: issuer and audience of its tokens."""
        return f"https://{self.host}" if self.port == 443 else f"https://{self.host}:{self.port}"

    @property
    def run(self) -> Path:
        """The folder of the socket, and in development of nginx's own files.

        In /run for root, since nginx's workers give up root and cannot enter a home directory. There two projects of
        one name must not share a socket: the port tells them apart in development.
        """
        if self.is_development:
            return self.deploy / "run" if os.geteuid() != 0 else Path("/run") / f"{self.name}-{self.port}"
        return Path("/run") / self.name

    @property
    def socket(self) -> Path:
        return self.run / "app.sock"

    @property
    def certificates(self) -> Path:
        """The folder with ``server.pem``, ``server.key``, ``ca.pem`` and ``crl.pem``."""
        return self.deploy / "pki" if self.is_development else Path("/etc") / self.name / "pki"

    @property
    def secrets(self) -> Path:
        return self.deploy / "secrets"

    @property
    def is_shared_socket(self) -> bool:
        """Whether nginx's workers run under another account than gunicorn, as they do where root starts nginx."""
        return not self.is_development or os.geteuid() == 0

    def facts(self) -> dict[str, str]:
        """Return the texts for the names between two ``@``."""
        programs = Path(sys.executable).parent
        return {
            "name": self.name,
            "wsgi": self.wsgi,
            "base": str(self.base),
            "deploy": str(self.deploy),
            "nginx": str(self.deploy / "nginx"),
            "python": sys.executable,
            "gunicorn": str(programs / "gunicorn"),
            "socket": str(self.socket),
            "socket_group": self.socket_group,
            "nginx_user": _nginx_user(self.socket_group),
            "account": self.name,
            "pki": str(self.certificates),
            "listen": f"127.0.0.1:{self.port}" if self.is_development else str(self.port),
            "server_name": self.host,
            "access_log": str(self._log("access")),
            "error_log": str(self.error_log),
            "hsts": "max-age=300" if self.is_development else "max-age=63072000; includeSubDomains",
            "origin": self.origin,
            "owner": self.clients[0],
            "second": next(iter(self.clients[1:]), "ANOTHER"),
            "second_if_any": "" if self.clients[1:] else "# ",
        }

    @property
    def error_log(self) -> Path:
        return self._log("error")

    def _log(self, kind: str) -> Path:
        if self.is_development:
            return self.deploy / "log" / f"{kind}.log"
        return Path("/var/log/nginx") / f"{self.name}.{kind}.log"

    def require_short_socket(self) -> None:
        """Raise ``Misuse`` if the kernel cannot bind a socket of this path."""
        if len(os.fsencode(self.socket)) > _LONGEST_SOCKET:
            raise Misuse(f"The path of the socket has more than {_LONGEST_SOCKET} bytes: choose a shorter folder.")


def this_project(
    deploy: Path, *, name: str = "", host: str, port: int, socket_group: str, is_development: bool
) -> Project:
    """Return the facts of the project with the settings in force. An empty text stands for the usual value.

    Raises ``Misuse`` for a name that no account can have, and for a group that this machine does not have.
    """
    package = django_settings.ROOT_URLCONF.partition(".")[0]
    # Cookiecutters name the package of the settings alike in each project, and the name is one of an account.
    name = name or (Path.cwd().name if package in _NAMES_OF_NO_PROJECT else package)
    if not _NAME.fullmatch(name):
        raise Misuse(f"{name!r} is no name of an account: pass another by --name, for example --name shop.")
    if not _HOST.fullmatch(host or "localhost"):
        raise Misuse(f"{host!r} is no name of a host: pass it without scheme, port and path, for example pay.example.")
    module, _, variable = (getattr(django_settings, "WSGI_APPLICATION", None) or "").rpartition(".")
    if socket_group and not _is_group(socket_group):
        raise Misuse(f"This machine has no group {socket_group!r}: pass the group of nginx's workers.")
    project = Project(
        name=name,
        wsgi=f"{module}:{variable}" if module else f"{package}.wsgi:application",
        base=Path.cwd(),
        deploy=deploy.absolute(),
        socket_group=socket_group or next(filter(_is_group, _NGINX_GROUPS), "www-data"),
        host=host or "localhost",
        port=port or (8443 if is_development else 443),
        is_development=is_development,
    )
    project.require_short_socket()
    return project


def _is_group(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def _nginx_user(group: str) -> str:
    """Return the account of nginx's workers: that of the group's name, or nobody."""
    try:
        return pwd.getpwnam(group).pw_name
    except KeyError:
        return "nobody"
