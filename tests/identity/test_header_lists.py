"""The headers that name a certificate are the same ones in the code and in the configuration of each proxy."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from securecore import conf
from securecore.http.edge.sources import IDENTITY_PREFIXES, REQUEST_ID, SECRET, SOURCES, field_name
from tests.support.tree import ROOT

#: The headers of proxied.conf that name no certificate.
OTHERS = {
    "connection",
    "early-data",
    "forwarded",
    "host",
    "proxy",
    "remote-user",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-remote-user",
    "x-request-id",
}
READ = sorted({SECRET, REQUEST_ID, *(name for source in SOURCES.values() for name in source.reads)})


def lines(path: str) -> str:
    """Return the file without its comments."""
    return re.sub(r"(?m)^\s*#.*", "", (ROOT / path).read_text())


def of_nginx() -> set[str]:
    return {
        name.lower()
        for name in re.findall(r"proxy_set_header\s+(\S+)", lines("securecore/installation/nginx/proxied.conf"))
    }


def of_envoy() -> set[str]:
    listed = re.search(r"request_headers_to_remove:\n((?:\s+- \S+\n)+)", lines("docs/proxies/envoy.yaml"))
    assert listed
    # SANITIZE_SET replaces X-Forwarded-Client-Cert, and use_remote_address replaces X-Request-ID.
    replaced = re.findall(r"(SANITIZE_SET|use_remote_address: true)", lines("docs/proxies/envoy.yaml"))
    assert len(replaced) == 2
    return {*yaml.safe_load(listed[1]), "x-forwarded-client-cert", "x-request-id"}


def of_traefik() -> set[str]:
    middlewares = yaml.safe_load(lines("docs/proxies/traefik-routes.yml"))["http"]["middlewares"]
    blocks = [each["headers"]["customRequestHeaders"] for each in middlewares.values() if "headers" in each]
    return {name.lower() for block in blocks for name in block}


def of_caddy() -> set[str]:
    return {name.lower() for name in re.findall(r"header_up\s+-?(\S+)", lines("docs/proxies/Caddyfile"))}


def is_listed(names: set[str], name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in names)


def is_deleted_by_haproxy(name: str) -> bool:
    patterns = re.findall(r"del-header (\S+) -m reg", lines("docs/proxies/haproxy.cfg"))
    return any(re.search(pattern, name) for pattern in patterns)


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("listed", [of_nginx, of_envoy, of_traefik, of_caddy])
def test_a_proxy_overwrites_each_header_that_is_read(listed: Callable[[], set[str]], name: str) -> None:
    assert is_listed(listed(), field_name(name))


@pytest.mark.parametrize("name", READ)
def test_haproxy_deletes_each_header_that_is_read(name: str) -> None:
    assert is_deleted_by_haproxy(field_name(name))


def test_each_source_is_a_value_of_the_setting() -> None:
    with (
        override_settings(SECURECORE={"CERTIFICATE_SOURCE": "unknown"}),
        pytest.raises(ImproperlyConfigured, match="must be one of") as refusal,
    ):
        conf.load()
    _, _, accepted = str(refusal.value).partition("must be one of ")
    assert sorted(accepted.rstrip(".").split(", ")) == sorted(SOURCES)


def test_each_header_of_a_source_is_stripped() -> None:
    of_sources = [name for source in SOURCES.values() for name in (*source.reads, *source.sends)]
    assert not [name for name in (SECRET, *of_sources) if not name.startswith(IDENTITY_PREFIXES)]


@pytest.mark.parametrize("prefix", IDENTITY_PREFIXES)
def test_nginx_overwrites_a_header_of_each_prefix(prefix: str) -> None:
    assert [name for name in of_nginx() if name.startswith(field_name(prefix))]


def test_each_certificate_header_of_nginx_is_stripped() -> None:
    prefixes = tuple(map(field_name, IDENTITY_PREFIXES))
    assert {name for name in of_nginx() if not name.startswith(prefixes)} == OTHERS
