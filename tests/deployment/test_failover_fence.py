"""The fence, on a server that is promoted as a standby is. ``make failover`` loses claims and replays them."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections

from securecore import clock
from securecore.conf import settings as securecore_settings
from securecore.replay import store
from tests.deployment.conftest import database, prove
from tests.support.postgres import Server, server


@pytest.fixture(scope="module")
def promoted(django_db_blocker: Any) -> Iterator[Server]:
    """A server of the second timeline, with securecore's tables and the fence."""
    with server() as running, django_db_blocker.unblock():
        with database(running.url) as alias:
            call_command("migrate", "securecore", database=alias, verbosity=0)
            fence("install")
        running.become_standby()
        with psycopg.connect(running.url, autocommit=True) as superuser:
            superuser.execute("SELECT pg_promote()")
        yield running


@pytest.fixture
def deployment(promoted: Server) -> Iterator[Server]:
    with database(promoted.url):
        yield promoted


def fence(action: str) -> str:
    out = StringIO()
    call_command("securecore_fence", action, stdout=out)
    return out.getvalue().strip()


def claim(seconds: float = 0.0) -> bool:
    """Claim a new nonce of a request that was made this many seconds after now."""
    now = clock.now()
    return store.claim(uuid4(), made_at=now + dt.timedelta(seconds=seconds), now=now, kind="a nonce")


def promoted_seconds_ago(running: Server, seconds: float) -> None:
    [history] = Path(running.directory, "data", "pg_wal").glob("00000002.history")
    instant = clock.now().timestamp() - seconds
    os.utime(history, (instant, instant))


def test_no_claim_of_before_the_promotion_is_accepted(deployment: Server) -> None:
    promoted_seconds_ago(deployment, 5)
    for seconds in (0.0, -5.0, -50.0, 9.0):
        with pytest.raises(OperationalError, match="may have been lost"):  # the response is 503 with Retry-After
            claim(seconds)


def test_new_claims_are_accepted_twenty_seconds_after_the_promotion(deployment: Server) -> None:
    promoted_seconds_ago(deployment, 21)
    assert claim()
    for old in (-2.0, -50.0):
        with pytest.raises(OperationalError, match="may have been lost"):
            claim(old)
    promoted_seconds_ago(deployment, 600)
    assert claim(-50)


def test_claims_for_the_future_are_refused_so_that_none_outlives_the_fence(deployment: Server) -> None:
    promoted_seconds_ago(deployment, 600)
    assert claim(9)
    with pytest.raises(OperationalError):
        claim(11)


def test_a_promotion_without_its_file_opens_nothing(deployment: Server) -> None:
    history = Path(deployment.directory, "data", "pg_wal", "00000002.history")
    history.rename(history.with_suffix(".away"))
    try:
        with pytest.raises(OperationalError):
            claim()
    finally:
        history.with_suffix(".away").rename(history)


def test_prove_knows_the_fence(deployment: Server, settings: Any) -> None:
    assert prove("P204").outcomes == {"P204": "kept"}
    settings.SECURECORE = {**settings.SECURECORE, "DATABASE": securecore_settings.DATABASE, "REPLAY_WINDOW": 30}
    report = prove("P204")
    assert report.outcomes == {"P204": "broken"}
    assert "other settings" in report.details["P204"]
    assert fence("status").startswith("A fence of other settings stands")


@pytest.mark.parametrize("window", [30, 600])
def test_prove_claims_a_nonce_of_now_which_the_fence_lets_pass(deployment: Server, settings: Any, window: int) -> None:
    promoted_seconds_ago(deployment, 60)
    settings.SECURECORE = {**settings.SECURECORE, "DATABASE": securecore_settings.DATABASE, "REPLAY_WINDOW": window}
    fence("install")
    try:
        report = prove("P401")
    finally:
        settings.SECURECORE = {**settings.SECURECORE, "REPLAY_WINDOW": 60}
        fence("install")
    assert report.outcomes == {"P401": "kept"}, report


def test_prove_names_a_fence_that_may_not_see_the_promotion(promoted: Server) -> None:
    """On the first timeline such a fence reads no file, and accepts each nonce. After a failover each is an error."""
    with database(promoted.url), psycopg.connect(promoted.url, autocommit=True) as superuser:
        superuser.execute("CREATE ROLE another")
        superuser.execute("ALTER FUNCTION securecore_failover_fence() OWNER TO another")
        try:
            report = prove("P204")
        finally:
            superuser.execute("ALTER FUNCTION securecore_failover_fence() OWNER TO CURRENT_USER")
    assert report.outcomes == {"P204": "broken"}
    assert "pg_stat_file(text, boolean) TO another" in report.details["P204"]


def test_the_fence_comes_and_goes(deployment: Server) -> None:
    promoted_seconds_ago(deployment, 5)
    assert fence("remove") == "There is no fence."
    try:
        assert claim()
        assert "no fence" in prove("P204").details["P204"]
    finally:
        assert fence("install") == "The fence stands."


def test_a_role_that_cannot_see_the_promotion_is_told_the_grant(deployment: Server) -> None:
    with psycopg.connect(deployment.url, autocommit=True) as superuser:
        superuser.execute("CREATE ROLE plain LOGIN")
    connection = connections[securecore_settings.DATABASE]
    connection.close()
    connection.settings_dict["USER"] = "plain"
    with pytest.raises(CommandError, match=r"GRANT EXECUTE ON FUNCTION pg_stat_file.* TO plain;"):
        fence("install")


def test_nonces_in_a_cache_have_no_fence(deployment: Server, settings: Any) -> None:
    alias = securecore_settings.DATABASE
    settings.SECURECORE = {**settings.SECURECORE, "DATABASE": alias, "REPLAY_CACHE": "seen"}
    with pytest.raises(CommandError, match="REPLAY_CACHE"):
        fence("install")
    assert prove("P204").outcomes == {"P204": "not used"}
