"""The Authorization header: its scheme, its value, and the one place that parses it."""

from __future__ import annotations

import re

import pytest
from django.http import HttpRequest

from securecore.http.authorization.header import AuthorizationHeader, authorization_of
from securecore.http.request import django_request
from tests.support.tree import ROOT


@pytest.mark.parametrize(
    ("header", "scheme", "value"),
    [
        ("", "", ""),
        ("Bearer abc", "bearer", "abc"),
        ("DPOP  abc ", "dpop", "abc"),
        ("Basic YTpi", "basic", "YTpi"),
        ("Bearer: abc", "bearer", ""),
        ("Bearer\tabc", "bearer", ""),
        ("\u00e9 abc", "", ""),
    ],
)
def test_has_a_scheme_and_a_value(header: str, scheme: str, value: str) -> None:
    assert AuthorizationHeader.parse(header) == AuthorizationHeader(scheme, value)


@pytest.mark.parametrize(
    ("header", "access_token", "dpop_token"),
    [("Bearer a", "a", None), ("DPoP a", "a", "a"), ("Basic a", None, None), ("DPoP:a", "", "")],
)
def test_holds_an_access_token_under_two_schemes(header: str, access_token: str | None, dpop_token: str | None) -> None:
    parsed = AuthorizationHeader.parse(header)
    assert (parsed.access_token, parsed.dpop_token) == (access_token, dpop_token)


def test_is_parsed_once_for_each_request() -> None:
    request = django_request(HttpRequest())
    request.META["HTTP_AUTHORIZATION"] = "Bearer a"
    assert authorization_of(request) is authorization_of(request)


def test_is_read_in_one_module() -> None:
    """Two parsers would disagree about a header such as ``DPoP:``, and one of the two would open the door."""
    spelling = re.compile(
        r"HTTP_AUTHORIZATION|headers(\.get\(|\[)[\"']authorization|get_authorization_header", re.IGNORECASE
    )
    package = ROOT / "securecore"
    naming = {
        path.relative_to(package).as_posix() for path in package.rglob("*.py") if spelling.search(path.read_text())
    }
    others = {
        "http/caching.py": "asks whether the header is there, and does not read it",
        "tokens/simplejwt_settings.py": "compares the name with the setting of simplejwt",
    }
    assert naming == {"http/authorization/header.py", *others}
