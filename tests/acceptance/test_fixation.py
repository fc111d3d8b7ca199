"""A catalogue of session fixation and session theft, through the real nginx and with a cookie jar."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

Open = Callable[..., httpx.Client]
Shell = Callable[..., str]

COOKIE = "__Host-sessionid"
PLANTED = "planted-by-the-attacker-0123456789abcdefghi"
PARALLEL = 50


def id_of(client: httpx.Client) -> str:
    """Return the session id in the client's jar."""
    return str(client.cookies.get(COOKIE))


def has_session(client: httpx.Client, presented: str | None = None) -> bool:
    """Return whether the jar's cookie, or the cookie given in its place, opens a session."""
    headers = {"Cookie": f"{COOKIE}={presented}"} if presented else {}
    answer = client.get("/api/whoami", headers=headers)
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["session"])


def log_in(client: httpx.Client, **more: dict[str, str]) -> str:
    answer = client.post("/auth/login", json={}, **more)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return str(answer.cookies[COOKIE])


def change(shell: Shell, **columns: str) -> None:
    """Change alice's sessions in the database, beside the running service."""
    values = ", ".join(f"{name}={value}" for name, value in columns.items())
    imports = "import datetime as dt; from securecore.sessions import Session; now = dt.datetime.now(dt.UTC)"
    live = "Session.objects.filter(user__username='alice', expires_at__gt=now)"
    shell("shell", "-c", f"{imports}; {live}.update({values})")


@pytest.fixture
def alice(open_client: Open) -> httpx.Client:
    client = open_client("alice")
    log_in(client)
    return client


@pytest.fixture
def privileges(open_client: Open) -> Iterator[Callable[[str], None]]:
    """`privileges("grant")` gives alice one more privilege, `privileges("revoke")` revokes it."""
    carol = open_client("carol")
    permission = f"reports.{secrets.token_hex(4)}"

    def privileges(what: str) -> None:
        order = {"principal": "alice", "permission": permission}
        assert carol.post(f"/api/admin/grants/{what}", json=order).status_code == 200

    yield privileges
    privileges("revoke")


class TestPlanted:
    def test_planted_before_the_login(self, open_client: Open) -> None:
        client = open_client("alice")
        client.cookies.set(COOKIE, PLANTED, domain="localhost.local")
        assert log_in(client, headers={"Cookie": f"{COOKIE}={PLANTED}"}) != PLANTED
        assert not has_session(open_client("alice"), PLANTED)

    def test_planted_after_the_logout(self, alice: httpx.Client, open_client: Open) -> None:
        before = id_of(alice)
        assert alice.post("/auth/logout").status_code == 204
        for planted in (before, PLANTED):
            assert not has_session(alice, planted)
            after = log_in(alice, headers={"Cookie": f"{COOKIE}={planted}"})
            assert after not in (before, PLANTED)
            assert not has_session(open_client("alice"), planted)

    @pytest.mark.parametrize("name", [COOKIE, "sessionid", "session_key"])
    def test_planted_in_the_query(self, alice: httpx.Client, open_client: Open, name: str) -> None:
        for presented in (id_of(alice), PLANTED):
            other = open_client("alice")
            assert not other.get("/api/whoami", params={name: presented}).json()["session"]
            assert log_in(other, params={name: presented}) != presented

    @pytest.mark.parametrize("name", [COOKIE, "Sessionid", "X-Session-ID", "Authorization"])
    def test_planted_in_a_header(self, alice: httpx.Client, open_client: Open, name: str) -> None:
        for presented in (id_of(alice), PLANTED):
            other = open_client("alice")
            assert not other.get("/api/whoami", headers={name: presented}).json()["session"]
            assert log_in(other, headers={name: presented}) != presented


class TestChanged:
    def test_changed_by_a_login_of_the_same_user(self, alice: httpx.Client, open_client: Open, shell: Shell) -> None:
        before = id_of(alice)
        assert log_in(alice) != before
        assert has_session(alice)
        change(shell, rotated_at="now - dt.timedelta(seconds=10)")
        assert not has_session(open_client("alice"), before)

    def test_changed_by_other_privileges(
        self, alice: httpx.Client, open_client: Open, privileges: Callable[[str], None], shell: Shell
    ) -> None:
        ids = [id_of(alice)]
        for what in ("grant", "revoke", "grant"):
            privileges(what)
            assert has_session(alice)
            ids.append(id_of(alice))
        assert len(set(ids)) == 4
        change(shell, rotated_at="now - dt.timedelta(seconds=10)")
        assert [has_session(open_client("alice"), each) for each in ids] == [False, False, False, True]

    def test_changed_during_parallel_requests(
        self, alice: httpx.Client, open_client: Open, privileges: Callable[[str], None], shell: Shell
    ) -> None:
        """No request of the browser loses its login, one gets the new id, and a write with the old id is dropped."""
        before = id_of(alice)
        browser = open_client("alice")

        def request(_: int) -> httpx.Response:
            return browser.get("/api/whoami", headers={"Cookie": f"{COOKIE}={before}"})

        with ThreadPoolExecutor(16) as pool:
            running = [pool.submit(request, number) for number in range(PARALLEL)]
            privileges("grant")
            running += [pool.submit(request, number) for number in range(PARALLEL)]
            answers = [each.result() for each in running]
        assert Counter((answer.status_code, answer.json()["session"]) for answer in answers) == {
            (200, True): 2 * PARALLEL
        }
        given = [answer.cookies[COOKIE] for answer in answers if COOKIE in answer.cookies]
        assert len(given) == 1
        assert has_session(open_client("alice"), given[0])
        change(shell, rotated_at="now - dt.timedelta(seconds=10)")
        assert not has_session(open_client("alice"), before)
        assert has_session(open_client("alice"), given[0])


class TestStolen:
    def test_stolen_with_another_certificate(self, alice: httpx.Client, open_client: Open) -> None:
        bob = open_client("bob")
        assert not has_session(bob, id_of(alice))
        assert bob.post("/auth/logout", headers={"Cookie": f"{COOKIE}={id_of(alice)}"}).status_code == 204
        assert has_session(alice)

    def test_stolen_with_none(self, alice: httpx.Client, open_client: Open) -> None:
        stolen = {"Cookie": f"{COOKIE}={id_of(alice)}"}
        answer = open_client().get("/api/whoami", headers=stolen)
        assert (answer.status_code, answer.json()["code"]) == (401, "session-refused")
        assert open_client().post("/auth/logout", headers=stolen).status_code in (401, 403)
        assert has_session(alice)

    @pytest.mark.parametrize("clock", ["idle", "absolute"])
    def test_stolen_after_expiry(self, alice: httpx.Client, shell: Shell, clock: str) -> None:
        assert has_session(alice)
        change(shell, expires_at="now", **({"ends_at": "now"} if clock == "absolute" else {}))
        assert not has_session(alice)
        assert log_in(alice)
        assert has_session(alice)
