"""Certificates with fields that fit no column: each gives a refusal or a stored row, never a 500."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import pytest

from securecore.identity import Certificate
from securecore.testing import Authority
from tests.support.nginx import NginxClient

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.hostile_urls")]


@pytest.fixture(autouse=True)
def keeps(settings: Any) -> None:
    matches = ["public-key", "san-uri", "san-email", "san-dns", "subject"]
    settings.SECURECORE = {**settings.SECURECORE, "PENDING_CERTIFICATES": 100, "CERTIFICATE_MATCHES": matches}


def element(tag: int, *parts: bytes) -> bytes:
    """Return a DER element of a definite length."""
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def children(der: bytes) -> Sequence[bytes]:
    """Return the elements inside the first element of ``der``."""

    def end(data: bytes, start: int) -> tuple[int, int]:
        size, begin = data[start + 1], start + 2
        if size & 0x80:
            begin += size & 0x7F
            size = int.from_bytes(data[start + 2 : begin], "big")
        return begin, begin + size

    place, stop = end(der, 0)
    found = []
    while place < stop:
        _, after = end(der, place)
        found.append(der[place:after])
        place = after
    return found


def with_serial_number(der: bytes, serial: bytes) -> bytes:
    signed, *rest = children(der)
    version, _, *others = children(signed)
    return element(0x30, element(0x30, version, element(0x02, serial), *others), *rest)


class Shown:
    """A certificate as nginx would forward it."""

    def __init__(self, der: bytes) -> None:
        body = base64.encodebytes(der).decode()
        escaped = quote(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n", safe="")
        self.environ = {"REMOTE_ADDR": "", "HTTP_X_SSL_CLIENT_VERIFY": "SUCCESS", "HTTP_X_SSL_CLIENT_CERT": escaped}


@pytest.mark.parametrize("serial", [b"\x01" * 20, b"\x7f" * 32, b"\x7f" * 33, b"\x01" * 200, b"\x00", b"\xff" * 20])
def test_a_serial_number_of_any_length_is_no_500(ca: Authority, serial: bytes) -> None:
    shown: Any = Shown(with_serial_number(ca.issue("odd").der, serial))
    client = NginxClient(shown, raise_request_exception=False)
    for path in ("/seen", "/auth/login", "/oauth/token", "/both"):
        assert client.post(path).status_code < 500, path


@pytest.mark.parametrize("name", ["a\0b", "\x1b[2J", "\u202ea", "\U0010ffff", "x" * 64, "'\";--", " ", "a,b+c=d\\e#"])
def test_a_name_of_any_kind_is_no_500(ca: Authority, name: str) -> None:
    issued = ca.issue(name, uris=["urn:a\0b", "https://x/%00"], dns_names=["a\0b.example", "*"], emails=["a@x"])
    client = NginxClient(issued, raise_request_exception=False)
    for path in ("/seen", "/auth/login", "/oauth/token", "/both"):
        assert client.post(path).status_code < 500, path
    assert Certificate.objects.pending().count() == 1


def test_a_certificate_full_of_names_is_no_500(ca: Authority) -> None:
    issued = ca.issue("many", dns_names=[f"n{number}.example" for number in range(200)])
    assert NginxClient(issued, raise_request_exception=False).get("/both").status_code < 500
