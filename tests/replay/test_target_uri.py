"""RFC 3986 section 6.2, clause by clause."""

from __future__ import annotations

import pytest

from securecore.replay.target_uri import normalized


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        # 6.2.2.1 case
        ("HTTPS://API.Example/Path", "https://api.example/Path"),
        ("https://[2001:DB8::1]/", "https://[2001:db8::1]/"),
        ("https://a/%3a%c3%a4", "https://a/%3A%C3%A4"),
        # 6.2.2.2 percent-encoding of unreserved characters, and of no others
        ("https://a/%7Euser/%41%2d%2E%5f%30", "https://a/~user/A-._0"),
        ("https://a/%2F%3F%23%25%20%3b", "https://a/%2F%3F%23%25%20%3B"),
        ("https://a/%2541", "https://a/%2541"),
        # 6.2.2.3 dot segments (the examples of 5.2.4 first)
        ("https://a/b/c/./../../g", "https://a/g"),
        ("https://a/mid/content=5/../6", "https://a/mid/6"),
        ("https://a/.", "https://a/"),
        ("https://a/..", "https://a/"),
        ("https://a/../../b", "https://a/b"),
        ("https://a/b/.", "https://a/b/"),
        ("https://a/b/..", "https://a/"),
        ("https://a/b/c/..", "https://a/b/"),
        ("https://a/%2e%2E/b/%2e/c", "https://a/b/c"),
        ("https://a/.../b..", "https://a/.../b.."),
        ("https://a//b//", "https://a//b//"),
        ("https://a//../b", "https://a/b"),
        # 6.2.3 scheme: default port, empty port, empty path
        ("https://a:443/", "https://a/"),
        ("http://a:80/", "http://a/"),
        ("https://a:80/", "https://a:80/"),
        ("http://a:443/", "http://a:443/"),
        ("https://a:8443/", "https://a:8443/"),
        ("https://a:/", "https://a/"),
        ("https://a", "https://a/"),
        ("https://a:443", "https://a/"),
        # RFC 9449 section 4.3: without query and fragment
        ("https://a?b", "https://a/"),
        ("https://a/b?c=/../d#e", "https://a/b"),
        ("https://a/b#c?d", "https://a/b"),
        ("https://a/b?{}|\\^", "https://a/b"),
    ],
)
def test_one_spelling(url: str, expected: str) -> None:
    assert normalized(url) == expected
    assert normalized(expected) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "a",
        "//a/b",
        "https:/a",
        "https:a",
        "https://",
        "https:///b",
        "https://:443/",
        "ftp://a/",
        "wss://a/",
        "javascript:alert(1)",
        "http\u017f://a/",  # a letter whose upper case is S
        "https://user@a/",
        "https://user:secret@a/",
        "https://a:443@b/",
        "https://@a/",
        "https://a:port/",
        "https://a:-1/",
        "https://a:443443/",
        "https://[::1/",
        "https://[::1]x/",
        "https://[v1.x]/",
        "https://a b/",
        "https://a%2Fb/",
        "https://a\\b/",
        "https://ä/",
        "https://a/ä",
        "https://a/ b",
        "https://a/\\..\\b",
        "https://a/b\n",
        "\thttps://a/",
        "https://a/\0",
        "https://a/%",
        "https://a/%2",
        "https://a/%zz",
        "https://a/%2g",
        "https://a/[b]",
        "https://a/?é",
        "https://a/#\x7f",
    ],
)
def test_what_is_no_http_url(url: str) -> None:
    assert normalized(url) is None


@pytest.mark.parametrize("part", ["a", "/", "/..", "%41", "/a/../", ":", "[", "%"])
def test_takes_no_longer_than_the_url_is_long(part: str) -> None:
    normalized("https://a" + part * 100_000)
    normalized("https://a/" + part * 100_000)
