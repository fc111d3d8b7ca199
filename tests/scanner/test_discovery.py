"""Discovery of routes, and that it has no side effects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from securecore_scan import discovery
from securecore_scan.client.memory import MemorySource
from securecore_scan.client.target import Target
from securecore_scan.outcomes import Inconclusive
from securecore_scan.plan import Call, Memory, Plan, PlanError, Sessions
from securecore_scan.redaction import Redactor
from tests.scanner.conftest import open_transport, scanned
from tests.scanner.service import Answer, serving

DOCUMENT = {
    "openapi": "3.1.0",
    "servers": [{"url": "https://api.example/v2"}],
    "paths": {
        "/login": {"post": {}},
        "/oauth/token": {"post": {}},
        "/whoami": {"get": {}},
        "/payments": {"get": {}, "post": {}},
        "/payments/{id}": {"delete": {}},
    },
}


@contextmanager
def target(url: str, plan: Plan | None = None) -> Iterator[Target]:
    with open_transport(url) as transport:
        yield Target(transport, plan or Plan(), Redactor())


def offering(*there: str, document: Any = None) -> Any:
    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        if document is not None and path == "/v2/openapi.json":
            return 200, {}, document
        return (200 if path in there else 404), {}, {"session": False} if path.endswith("whoami") else {}

    return answer


def test_routes_are_read_from_the_openapi_document() -> None:
    with serving(offering("/v2/whoami", document=DOCUMENT)) as service, target(f"{service.url}/v2") as found:
        plan = discovery.complete(found, None)
    assert (plan.session.login, plan.session.read) == (Call("/login", json={}), "/whoami")
    assert plan.session.field == "session"
    assert str(plan.tokens.request) == "POST /oauth/token"
    assert [route for route in found.routes if route.startswith("unsafe")] == [
        "unsafe: POST /login",
        "unsafe: POST /oauth/token",
        "unsafe: POST /payments",
        "unsafe: DELETE /payments/{id}",
    ]


def test_server_of_the_document_may_have_variables() -> None:
    variables = {"host": {"default": "api.example"}, "version": {"default": "v2"}}
    servers = [{"url": "https://{host}/{version}", "variables": variables}]
    with serving(offering(document=DOCUMENT | {"servers": servers})) as service, target(f"{service.url}/v2") as found:
        assert str(discovery.complete(found, None).tokens.request) == "POST /oauth/token"


def test_openapi_document_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(DOCUMENT | {"servers": []}))
    with serving(offering()) as service, target(service.url) as found:
        assert discovery.complete(found, str(path)).session.login == Call("/login", json={})
        path.write_text("no JSON")
        with pytest.raises(PlanError, match="OpenAPI"):
            discovery.complete(found, str(path))


@pytest.mark.parametrize(
    "odd",
    [{"paths": []}, {"paths": {"/login": None}}, {"paths": {}, "servers": "x"}, {"paths": None, "servers": [1]}],
)
def test_malformed_openapi_document_is_ignored(odd: Any) -> None:
    with serving(offering("/v2/login", document=odd)) as service, target(f"{service.url}/v2") as found:
        assert discovery.complete(found, None).session.login == Call("/login", json={})


@pytest.mark.parametrize("where", ["/elsewhere.json", "elsewhere.json", "/v2/whoami"])
def test_named_openapi_document_must_exist(where: str) -> None:
    with serving(offering("/v2/whoami")) as service:
        run = scanned(service.url, "--openapi", where)
    assert run.code == 2
    assert where in run.errors


def test_openapi_document_may_be_a_url_or_a_path() -> None:
    with serving(offering(document=DOCUMENT)) as service, target(f"{service.url}/v2") as found:
        assert discovery.complete(found, f"{service.url}/v2/openapi.json").session.login == Call("/login", json={})
        assert discovery.complete(found, "/openapi.json").session.login == Call("/login", json={})


def test_common_paths_are_probed_with_get_and_options_only() -> None:
    with (
        serving(offering("/api/token", "/api/token/refresh", "/me", "/logout")) as service,
        target(service.url) as found,
    ):
        plan = discovery.complete(found, None)
        methods = {method for method, *_ in service.asked}
    assert methods <= {"GET", "OPTIONS"}
    assert (plan.session.read, plan.session.logout) == ("/me", Call("/logout", json={}))
    assert plan.tokens.refresh == Call("/api/token/refresh", json={"refresh": "{refresh}"})


def test_plan_overrides_discovery() -> None:
    mine = Plan(session=Sessions(login=Call("/mine"), read="/mine-too", field="open"))
    with serving(offering("/login", "/whoami")) as service, target(service.url, mine) as found:
        session = discovery.complete(found, None).session
    assert (session.login, session.read, session.field) == (Call("/mine"), "/mine-too", "open")


class TestMemory:
    def source(self, answer: Any, plan: Memory) -> Iterator[MemorySource]:
        with serving(answer) as service, target(service.url, Plan(memory=plan)) as found:
            yield MemorySource(found)

    def test_memory_prometheus_values_of_all_processes_are_summed(self) -> None:
        text = b'# HELP x\nprocess_resident_memory_bytes{pid="1"} 1e6\nprocess_resident_memory_bytes{pid="2"} 5e5\n'
        for source in self.source(lambda *_: (200, {}, text), Memory(prometheus="/metrics")):
            assert source.total() == 1_500_000

    def test_memory_process_that_does_not_answer_counts_with_its_last_value(self) -> None:
        readings = iter([{"rss_bytes": 100, "process": 1}, {"rss_bytes": 50, "process": 2}] * 9)
        later = {"rss_bytes": 110, "process": 1}
        for source in self.source(lambda *_: (200, {}, next(readings, later)), Memory(url="/memory")):
            source.settle()
            assert source.total() == 160

    def test_memory_replaced_worker_is_inconclusive(self) -> None:
        process = [1]

        def answer(*_: object) -> Answer:
            return 200, {}, {"rss_bytes": 100, "process": process[0]}

        for source in self.source(answer, Memory(url="/memory")):
            source.settle()
            process[0] = 2
            with pytest.raises(Inconclusive, match="replaced"):
                source.total()

    @pytest.mark.parametrize("document", [{"rss_bytes": "100"}, {"rss_bytes": True}, {}, []])
    def test_memory_reading_that_is_not_a_number_is_inconclusive(self, document: Any) -> None:
        for source in self.source(lambda *_: (200, {}, document), Memory(url="/memory")):
            with pytest.raises(Inconclusive):
                source.total()
