"""Fixtures for all tests: a certificate authority, users with certificates, clients that come through nginx.

On SQLite `tests/races` is collected only if named explicitly, since its locks exist only on PostgreSQL. Then it fails
rather than skips.
"""

from __future__ import annotations

import datetime as dt
import gc
import ipaddress
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.test import TransactionTestCase

from securecore import clock
from securecore.audit.refusals import refusal_counts
from securecore.database import callable_functions
from securecore.testing import Authority, Issued
from tests.support.databases import is_only_in_matrix, only_database
from tests.support.deletion import delete_rows
from tests.support.distribution import distribution

pytest_plugins = ["securecore.testing.fixtures", "tests.support.browser"]

# The ten thousand items of the suite live to its end. The garbage collector walks them again and again while they are
# made, a third of the time of collection, and at each full collection thereafter. The process that distributes tests to
# workers collects none, and goes without.
gc.disable()

# These variables silently override the authority that a client was given.
for _name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"):
    os.environ.pop(_name, None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if config.getoption("once") and collection_path.is_relative_to(_TESTS):
        nodeid = collection_path.relative_to(_TESTS).as_posix() + ("/" if collection_path.is_dir() else "")
        if only_database(nodeid) not in ("", connection.vendor):
            return True  # rather than deselect its tests later: half of the suite's items need no second database
    if collection_path.name != "races" or connection.vendor == "postgresql":
        return None
    return not any("races" in argument for argument in config.args) or None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--once",
        action="store_true",
        help="leave out each test that make test runs on the other database (tests/support/databases.py)",
    )


_TESTS = Path(__file__).parent

#: Fixtures that use the database of the run.
_DATABASE_FIXTURES = {"db", "transactional_db"}

#: Folders and files by running time, the slowest first. A worker that begins with a slow file at the end of the run
#: would leave the other core idle. Measured by ``pytest --durations=0``; all other files run after these.
_SLOWEST = (
    "races/test_token_races",
    "acceptance/clients/races",
    "races/test_leases",
    "races/test_waiting_revocations",
    "races/test_credentials",
    "races/test_authorization",
    "acceptance/test_protections",
    "acceptance/test_demo",
    "acceptance/test_scan",
    "quickstart",
    "installation/test_accounts",
    "howto",
    "acceptance",
    "races",
    "http/test_hostile_text",
    "http/test_another_database",
    "caller/test_matrix",
    "scanner/test_peers",
    "fuzz",
    "chaos",
    "tokens/test_mutations",
    "tokens/test_keys",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that depend on the database with ``database``; put slow files first; obey ``--once``."""
    items.sort(key=lambda item: _place(item.nodeid))
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if _is_end_to_end(item) or item.get_closest_marker("django_db") or fixtures & _DATABASE_FIXTURES:
            item.add_marker("database")
    if config.getoption("once"):
        config.hook.pytest_deselected(items=[item for item in items if _is_answered_elsewhere(item)])
        items[:] = [item for item in items if not _is_answered_elsewhere(item)]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return distribution(config, log)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def _place(nodeid: str) -> int:
    below_tests = nodeid.removeprefix("tests/")
    return next((place for place, slow in enumerate(_SLOWEST) if below_tests.startswith(slow)), len(_SLOWEST))


def _is_end_to_end(item: pytest.Item) -> bool:
    return bool({"races", "acceptance"} & set(item.path.parts))


def _is_answered_elsewhere(item: pytest.Item) -> bool:
    """Return whether ``make test`` runs this test on the other database only, or leaves it to ``make matrix``."""
    if is_only_in_matrix(item.nodeid) or item.get_closest_marker("matrix"):
        return True
    only = only_database(item.nodeid) or ("" if item.get_closest_marker("database") else "sqlite")
    return only not in ("", connection.vendor)


def _delete_rows(test_case: Any) -> None:
    """Delete the rows that a committing test left, where TransactionTestCase would TRUNCATE."""
    for alias in test_case._databases_names(include_mirrors=False):
        delete_rows(connections[alias])


TransactionTestCase._fixture_teardown = _delete_rows  # type: ignore[attr-defined]


def _refuse_other_hosts(event: str, arguments: tuple[Any, ...]) -> None:
    # A test that needs another machine fails without a network. Audit hooks see every connection that Python makes.
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host = arguments[1][0]
    if host != "localhost" and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise RuntimeError(f"a test tried to reach {host}; only loopback is allowed")


sys.addaudithook(_refuse_other_hosts)


@pytest.fixture(scope="session", autouse=True)
def _threads_close_their_connections() -> Iterator[None]:
    """Let ``close()`` end the connection of a thread to SQLite's database in memory.

    Django leaves it open, for the data; the connection of the main thread keeps them. Python 3.13 warns about a
    connection that is deleted open, in whichever test runs then.
    """
    closing = DatabaseWrapper.close

    def close(self: Any) -> None:
        closing(self)
        is_of_this_thread = self._thread_ident == threading.get_ident()
        if is_of_this_thread and threading.current_thread() is not threading.main_thread():
            BaseDatabaseWrapper.close(self)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DatabaseWrapper, "close", close)
        yield


@pytest.fixture(autouse=True)
def _no_refusals_wait() -> None:
    """Forget the refusals of earlier tests: after a minute a request stores them, and the test may count statements."""
    refusal_counts.take()


@pytest.fixture(autouse=True)
def _functions_stay_known() -> Iterator[None]:
    """Leave the process with the functions of PostgreSQL that it knew before the test.

    A process that misses a function runs the plain statements for a minute, and the next test may count statements.
    """
    key = callable_functions._key(connection)
    known = callable_functions._known.get(key)
    yield
    if known is not None and callable_functions._known.get(key) is not known:
        callable_functions._known.put(key, known)


@pytest.fixture
def now() -> dt.datetime:
    """The current instant. Tests add durations to it, and freeze nothing."""
    return clock.now()


@pytest.fixture(scope="session")
def ca(certificate_authority: Authority) -> Authority:
    """The authority that the proxy trusts."""
    return certificate_authority


@pytest.fixture(scope="session")
def certificate_for(ca: Authority) -> Callable[[str], Issued]:
    """`certificate_for("alice")` gives her certificate: always the same, with `.pem` and `.escaped`."""
    return ca.certificate_for


@pytest.fixture
def enrolled(enrolled_user: Callable[..., User]) -> Callable[..., User]:
    """`enrolled("alice")` gives the user of that name, made and enrolled with her certificate when new."""
    return enrolled_user


@pytest.fixture
def users(enrolled: Callable[[str], User]) -> dict[str, User]:
    """Alice, Bob and Carol, each with a certificate."""
    return {name: enrolled(name) for name in ("alice", "bob", "carol")}
