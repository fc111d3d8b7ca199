"""The promises under real servers, on a unix socket and on a port. ``make test`` runs uvicorn, ``make matrix`` runs
each server (tests/support/databases.py).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from securecore.testing import Issued
from tests.servers import contract
from tests.servers.running import SERVERS, serve

pytestmark = pytest.mark.parametrize("is_unix", [True, False], ids=["unix", "tcp"])

SUPPORTED = [name for name in SERVERS if name not in ("granian wsgi", "uvicorn with proxy headers")]
#: WSGI servers see no disconnect while a view runs.
WSGI = ("gunicorn sync", "gunicorn gthread")


@pytest.fixture
def serving(prepared: Path) -> Any:
    """`serving("uvicorn", is_unix=True)` runs the server in a ``with`` block."""
    # A socket's path has at most 107 characters, and pytest's folders have long names.
    with tempfile.TemporaryDirectory(prefix="servers-") as folder:
        yield lambda name, is_unix: serve(name, Path(folder), prepared, is_unix=is_unix)


@pytest.fixture
def alice(certificate_for: Any) -> Issued:
    return certificate_for("alice")  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", SUPPORTED)
def test_server_keeps_every_promise(serving: Any, alice: Issued, prepared: Path, name: str, is_unix: bool) -> None:
    # Daphne and Hypercorn name no address on a unix socket, so the secret proves the proxy.
    needs_secret = not is_unix or name in ("daphne", "hypercorn")
    with serving(name, is_unix) as server:
        contract.knows_the_proxy(server, alice, needs_secret=needs_secret)
        contract.drops_names_with_underscores(server, alice)
        contract.refuses_a_strange_charset(server, alice)
        contract.verifies_the_path_that_was_sent(server, alice)
        contract.runs_synchronous_views_in_one_transaction(server, alice, prepared)
        contract.has_one_effect_for_each_key(server, alice, prepared, "/thread-keyed")
        if name == "gunicorn gevent":
            contract.refuses_async_views_with_the_way_out(server, alice, prepared)
            return
        contract.runs_async_views_in_one_transaction(server, alice, prepared)
        contract.has_one_effect_for_each_key(server, alice, prepared, "/every")
        if name not in WSGI:
            contract.rolls_back_when_the_client_hangs_up(server, alice, prepared)


def test_wsgi_server_that_confuses_headers_is_reported(serving: Any, alice: Issued, is_unix: bool) -> None:
    with serving("granian wsgi", is_unix) as server:
        contract.knows_the_proxy(server, alice, needs_secret=not is_unix)
        assert server.log.read_text().count("server-confuses-headers server='granian'") == 1


def test_uvicorn_that_overwrites_the_address_of_the_proxy_is_reported(
    serving: Any, alice: Issued, is_unix: bool
) -> None:
    with serving("uvicorn with proxy headers", is_unix) as server:
        headers = contract.proxied(alice) | {"x-forwarded-for": "203.0.113.9"}
        user = server.client.get("/seen", headers=headers).json()["user"]
        report = "proxy-address-unknown peer='203.0.113.9'" in server.log.read_text()
        assert (user, report) == (("alice", False) if is_unix else (None, True))
