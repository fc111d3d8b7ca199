"""Leases on four workers: no worker outruns a revocation that returned, not even a worker that was stopped."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.db import connection
from django.test import RequestFactory

from securecore import clock, revocation, tokens
from securecore.caller import user_of_token
from securecore.errors import InvalidToken
from securecore.identity import parse_pem
from securecore.sessions import SessionStore
from tests.races.lease_workers import Answer, Load, Workers, load, workers

pytestmark = [pytest.mark.one_process, pytest.mark.django_db(transaction=True)]

LEASE_MS = 200
ROUNDS = int(os.environ.get("SECURECORE_LEASE_ROUNDS", "1"))


class Caller:
    """A user with a certificate, a token of a family, and a session."""

    def __init__(self, user: User, issued: Any) -> None:
        self.user, now = user, clock.now()
        certificate = parse_pem(issued.pem)
        self.thumbprint, binding = certificate.thumbprint, f"x5t#S256:{certificate.thumbprint}"
        self.family, _ = tokens.refresh.start(
            user_id=user.pk,
            client_id="payments",
            binding=binding,
            certificate=self.thumbprint,
            scope="",
            rotates=True,
            now=now,
        )
        self.encoded, self.token = tokens.issue(
            subject=str(user.pk), client_id="payments", binding=binding, family_id=self.family.pk, now=now
        )
        request: Any = RequestFactory().get("/")
        request.session = SessionStore(None, binding)
        login(request, user, "django.contrib.auth.backends.ModelBackend")
        request.session.save()
        self.session_key = request.session.session_key
        self.headers = {
            "X-SSL-Client-Verify": "SUCCESS",
            "X-SSL-Client-Cert": issued.escaped,
            "Authorization": f"Bearer {self.encoded}",
            "Cookie": f"__Host-sessionid={self.session_key}",
        }

    def headers_for(self, path: str) -> dict[str, str]:
        """Return the headers for this credential, without a token where no class accepts one."""
        return self.headers if path == "/token" else self.headers | {"Authorization": ""}


def deactivate(caller: Caller) -> None:
    caller.user.is_active = False
    caller.user.save()


#: For each credential: the view that the clients request, and the revocation.
WAYS: dict[str, tuple[str, Callable[[Caller, Workers], Any]]] = {
    "token": (
        "/token",
        lambda caller, _: revocation.revoke_token(
            issuer=caller.token.issuer, jti=caller.token.jti, expires_at=caller.token.expires_at
        ),
    ),
    "family": ("/token", lambda caller, _: revocation.revoke_family(caller.family.pk)),
    "client": ("/token", lambda caller, _: revocation.revoke_client_tokens("payments")),
    "user's tokens": ("/token", lambda caller, _: revocation.revoke_user_tokens(caller.user)),
    "everything": ("/token", lambda caller, _: revocation.revoke_tokens_before(clock.now())),
    "certificate": ("/certificate", lambda caller, _: revocation.revoke_certificate(thumbprint=caller.thumbprint)),
    "inactive user": ("/certificate", lambda caller, _: deactivate(caller)),
    "sessions": ("/session", lambda caller, _: revocation.end_sessions(user=caller.user, reason="test")),
    "session, by Django": ("/session", lambda caller, _: SessionStore().delete(caller.session_key)),
    "logout": (
        "/session",
        lambda caller, running: running.ask(
            "/auth/logout", {**caller.headers, "Authorization": "", "Origin": "https://localhost"}, "POST"
        ),
    ),
}


@pytest.fixture
def leasing(settings: Any) -> dict[str, Any]:
    settings.SECURECORE = settings.SECURECORE | {"LEASE_MS": LEASE_MS}
    return dict(settings.SECURECORE)


@pytest.fixture
def running(tmp_path: Path, leasing: dict[str, Any]) -> Iterator[Workers]:
    parts = connection.settings_dict
    host = quote(parts["HOST"] or "localhost", safe="")
    password = f":{quote(parts['PASSWORD'])}" if parts["PASSWORD"] else ""
    port = f":{parts['PORT']}" if parts["PORT"] else ""
    database = f"postgresql://{parts['USER']}{password}@{host}{port}/{parts['NAME']}"
    with workers(tmp_path, database=database, securecore=leasing) as running:
        yield running


@pytest.fixture
def new_caller(enrolled: Callable[[str], User], certificate_for: Callable[[str], Any]) -> Callable[[str], Caller]:
    return lambda name: Caller(enrolled(name), certificate_for(name))


def is_accepted(answer: Answer) -> bool:
    assert answer.status in (200, 401, 403), answer
    return answer.status == 200


def was_leased(made: Load) -> bool:
    return any(answer.body.get("leased") for answer in made.history)


class TestRevocation:
    def test_revocation_is_never_outrun(self, running: Workers, new_caller: Callable[[str], Caller]) -> None:
        """Each revocation runs while eight clients send requests. After its return no request is accepted."""
        for number in range(ROUNDS):
            for way, (path, revoke) in WAYS.items():
                caller = new_caller(f"{way} {number}")
                with load(running, path, caller.headers_for(path)) as made:
                    _await(partial(was_leased, made), way)
                    revoke(caller, running)
                    returned = time.monotonic()
                    _await(partial(made.has_answered, 5, since=returned), way)
                    time.sleep(0.1)
                assert is_accepted(made.history[0]), way
                later = made.after(returned)
                assert not any(map(is_accepted, later)), way

    def test_revocation_is_not_outrun_by_a_worker_that_was_stopped(
        self, running: Workers, new_caller: Callable[[str], Caller]
    ) -> None:
        """One worker sleeps for two seconds between check and response, and wakes up with its old lease."""
        caller = new_caller("alice")
        with _asked(running, caller) as answers:
            worker = _stopped(running)
            # Later than the stop, so that no request waits in the sleeping worker.
            with load(running, "/token", caller.headers) as made:
                _await(partial(was_leased, made), "stopped")
                revocation.revoke_family(caller.family.pk)
                returned = time.monotonic()
                time.sleep(2)
                assert worker.status() == "stopped"
                worker.resume()
                resumed = time.monotonic()
                _await(partial(made.has_answered, 5, since=resumed), "resumed")
        # The sleeping request was accepted before the revocation, and its response shows that. No later request was
        # accepted.
        assert [is_accepted(answer) for answer in answers] == [True]
        assert answers[0].ended > resumed
        assert not any(map(is_accepted, made.after(returned)))


@contextmanager
def _asked(running: Workers, caller: Caller) -> Iterator[list[Answer]]:
    """Request the long pause. The list holds the response after the block."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(running.ask("/stop", caller.headers)), daemon=True)
    thread.start()
    yield answers
    thread.join(60)


def _await(condition: Callable[[], bool], way: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, way
        time.sleep(0.01)


def _stopped(running: Workers) -> Any:
    deadline = time.monotonic() + 60
    while not running.stopped():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return running.stopped()[0]


def test_a_wait_holds_nothing(
    leasing: Any, settings: Any, new_caller: Callable[[str], Caller], run_together: Any
) -> None:
    """While a revocation waits for leases, its rows are unlocked, and other sessions read the committed change."""
    settings.SECURECORE = leasing | {"LEASE_MS": 2_000}  # ample for the statements of the other session
    caller = new_caller("alice")
    family = tokens.RefreshFamily.objects.filter(pk=caller.family.pk)

    def work(index: int) -> float:
        if index == 0:
            began = time.monotonic()
            revocation.revoke_family(caller.family.pk)
            assert time.monotonic() - began >= 2
        else:
            _await(family.exclude(revoked_at=None).exists, "committed")
            with pytest.raises(InvalidToken):
                user_of_token(caller.token, now=clock.now())
            assert family.update(scope="free") == 1
        return time.monotonic()

    revoked, read = run_together(2, work)
    assert read < revoked
