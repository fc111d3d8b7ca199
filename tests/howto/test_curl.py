"""The curl lines of the how-to pages: a stranger's curl trusts the server, and the endpoint answers."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock
from securecore.testing import Authority, MutualTLSClient
from securecore.tokens import clients
from tests.support.tree import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))


def lines_of(page: Path) -> list[list[str]]:
    """Return the words of each curl line of the page's blocks, with continued lines joined."""
    text = re.sub(r" *\\\n *", " ", page.read_text())
    found = re.findall(r"^ *(curl .*)$", text, re.MULTILINE)
    return [shlex.split(line.partition(" #")[0]) for line in found]


def test_each_curl_with_a_certificate_trusts_the_authority_of_the_server() -> None:
    """The authority of the clients signs the server too, most often; curl knows only the public ones."""
    found = [(page.name, words) for page in PAGES for words in lines_of(page)]
    assert len(found) > 8
    assert not [(name, words) for name, words in found if "--cert" in words and "--cacert" not in words]


@pytest.mark.django_db
@pytest.mark.urls("tests.http.urls")
@pytest.mark.parametrize(
    ("page", "words"),
    [(page.name, words) for page in PAGES for words in lines_of(page) if any("/oauth/" in word for word in words)],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[-3:]),
)
def test_token_line_is_answered(page: str, words: list[str], ca: Authority, enrolled_user: Any) -> None:
    """With the certificate that the line names: enrolled, or proven by its name where the page registers the client."""
    name = words[words.index("--cert") + 1].removesuffix(".pem")
    [address] = [word for word in words if word.startswith("https://")]
    by_name = {"billing": "billing.internal", "shop": "shop.internal"}
    if "client_id=" in " ".join(words):
        user = User.objects.create(username=f"user of {name}")
        clients.register(client_id=name, user=user, certificate_name=f"DNS:{by_name[name]}", now=clock.now())
        client = MutualTLSClient(ca.issue("any", dns_names=[by_name[name]]))
    else:
        enrolled_user(name)
        client = MutualTLSClient(ca.certificate_for(name))
    form = "&".join(word for option, word in pairwise(words) if option == "-d")
    path = address.removeprefix("https://pay.example")
    response = client.post(path, form, content_type="application/x-www-form-urlencoded")
    assert response.status_code == 200, (page, response.content)
