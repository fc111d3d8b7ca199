"""The tests that need only one of the two databases of ``make test``, and the reason why one answer is enough.

``pytest --once`` leaves out the tests that the run on the other database answers. ``make matrix`` and ``make coverage``
do not use the option: they run every test on each database.
"""

from __future__ import annotations

#: Beginnings of node ids below tests/, and why SQLite alone is enough.
ONLY_ON_SQLITE = {
    "acceptance/test_page.py": "The page shows rows; test_protections makes the attacks on PostgreSQL.",
    "acceptance/test_callers_page.py": "A payment by four kinds of clients; test_client pays on both.",
    "acceptance/test_one_story.py": "nginx and the application write the logs; tests/audit has the rows on both.",
    "acceptance/proxies/": "A proxy reports a certificate; the service behind it keeps its own SQLite file.",
    "acceptance/test_cross_site.py": "The browser adds the certificate, and the request is refused before any query.",
    "acceptance/test_demo.py::test_ends": "Processes and files; the start on PostgreSQL is another test of the file.",
    "acceptance/test_demo.py::TestWhatIsWrong": "The demo refuses before it opens its database.",
    "admin/test_operations.py": "Pages call functions that the rest of the suite calls on both databases.",
    "checks/test_engines.py": "Each process of these tests has a database of its own.",
    "client/": "The client is another program, which knows no database.",
    "conf/": "Settings and arguments are judged before a statement is sent.",
    "deployment/test_replay_cache.py": "The cache is a Redis server, and no test opens the database.",
    "events/test_events.py": "Receivers and fields are Python's.",
    "fuzz/": "The corpus and the certificates have no rows; test_requests starts services with files of their own.",
    "hosts/": "The programs of these tests have a database of their own.",
    "failover/": "The programs of these tests have a database of their own.",
    "http/test_admission.py": "The request is refused before a view and before a query.",
    "http/test_hostile_requests.py": "The request is refused before a query; test_hostile_text.py reaches PostgreSQL.",
    "identity/test_certificates.py": "A certificate is parsed before its row is read.",
    "identity/test_header_lists.py": "Headers become a certificate before its row is read.",
    "identity/test_proxy.py": "The same.",
    "identity/test_proxy_signature.py": "The same.",
    "identity/test_sources.py": "The same.",
    "management/test_manual.py": "The tests read the manual and the options of the commands.",
    "metrics/test_prometheus.py::test_counts_of_several": "The files of prometheus_client hold the counts.",
    "neighbours/": "Other packages keep rows of their own; the rest of the suite reads ours on both databases.",
    "quickstart/": "The quickstart's project has a file of its own.",
    "replay/test_dpop_keys.py": "A proof is checked before its row is written.",
    "replay/test_dpop_vectors.py": "The same.",
    "replay/test_fresh_signature.py::TestEveryPlace": "The claim of a nonce is that of test_store.py, on both.",
    "replay/test_target_uri.py": "The same.",
    "structure/": "The tests read files.",
    "tokens/test_access.py": "A refused variant fails before a row is read; test_revocation.py has the rows.",
    "tokens/test_dpop.py": "A proof is judged before a row is read; test_dpop_strangers.py has its row on both.",
    "tokens/test_keys.py": "TestSigningKey of races/test_token_races.py rotates and signs on PostgreSQL.",
    "tokens/test_oauth.py::TestError": "The form is judged before a row is read.",
    "tokens/test_simplejwt_settings.py": "Python reads simplejwt's settings; test_simplejwt.py has the rows on both.",
    "caller/test_sharing.py": "Python objects are shared or not, whichever database filled them.",
    "caller/test_matrix.py": "Python compares the credentials; test_one_statement.py reads each on both databases.",
    "http/test_caching.py": "Django's cache holds responses, which are the same on each database.",
    "tokens/test_mutations.py::TestFunctions": "A mutated token fails at its signature, before a row is read.",
    "tokens/test_wycheproof.py": "A signature is verified before a row is read.",
    "servers/test_servers.py": "Servers have a SQLite file; test_async_views.py has the transactions.",
    "servers/test_asgi_requests.py": "The peer and the target are judged before a row is read.",
    "scanner/": "The scanner is another program, which knows no database.",
}
#: Beginnings of node ids below tests/, and why PostgreSQL alone is enough.
ONLY_ON_POSTGRESQL = {
    "acceptance/clients/": "Libraries of other projects read responses, which are the same on each database.",
    "acceptance/test_client.py": "securecore_client reads responses, which are the same on each database.",
    "acceptance/test_client_manual.py": "The same.",
    "acceptance/test_control_room.py": "PostgreSQL reports the sessions that wait; tests/control_room runs on both.",
    "acceptance/test_demo.py::test_keeps": "The test starts a PostgreSQL of its own.",
    "acceptance/test_protections.py": "The features have tests on both databases, test_page the attacks on SQLite.",
    "http/test_hostile_text.py": "PostgreSQL stores fewer texts than SQLite, so it finds more.",
    "tokens/test_mutations.py::TestRequests": "The same.",
    "tokens/test_mutations.py::test_claims_signed_by_us": "The same.",
    "chaos/test_idempotency.py": "`make chaos` kills workers on SQLite too; test_crash_points.py does on both.",
    "acceptance/test_fixation.py": "tests/sessions shows the life of a session id on both databases.",
    "acceptance/test_identity.py": "nginx reports a certificate; tests/identity finds its row on both databases.",
    "acceptance/test_openapi_document.py": "PostgreSQL stores fewer texts than SQLite, so it finds more.",
    "acceptance/test_scan.py": "The scan of the demo on SQLite is 50 times in `make soak`.",
    "acceptance/test_self_signed.py": "nginx reports a certificate; tests/tokens has its rows on both databases.",
    "acceptance/test_slow_body.py::test_a_slow_body_does_not_delay_its_revocation[haproxy": "HAProxy buffers a body "
    "alike for each database; the way through gunicorn, with each kind of gate, runs on both.",
}
#: Beginnings of node ids below tests/ that ``make test`` leaves out and ``make matrix`` runs, and the reason.
ONLY_IN_MATRIX = {
    "benchmarks/test_benchmarks.py::test_prints_its_table[admin_pages": "tests/admin has the bounds of the lists.",
    "benchmarks/test_benchmarks.py::test_prints_its_table[audit_cost": "Five programs of 10 s; the others are started.",
    "benchmarks/test_benchmarks.py::test_prints_its_table[capacity": "The same.",
    "benchmarks/test_benchmarks.py::test_prints_its_table[partitions": "The same.",
    "benchmarks/test_benchmarks.py::test_prints_its_table[revocation_latency": "The same.",
    "benchmarks/test_benchmarks.py::test_prints_its_table[throughput": "The same.",
    "failover/test_valkey.py": "14 s for the two ways of Redis; test_replay_cache.py has one Redis that fails.",
    "soak/test_soak.py": "17 s for 80 requests; tests/purge empties each table.",
    "howto/test_moves.py::test_page_moves_a_project_with_a_live_client[knox": "4 s; simplejwt runs in both.",
    "howto/test_moves.py::test_page_moves_a_project_with_a_live_client[oauth": "The same.",
    "howto/test_moves.py::test_page_moves_a_project_with_a_live_client[drf": "The same.",
    "servers/test_servers.py::test_server_keeps_every_promise[gunicorn": "18 s for nine servers; uvicorn runs in both.",
    "servers/test_servers.py::test_server_keeps_every_promise[granian": "The same.",
    "servers/test_servers.py::test_server_keeps_every_promise[hypercorn": "The same.",
    "servers/test_servers.py::test_server_keeps_every_promise[daphne": "The same.",
}


def is_only_in_matrix(nodeid: str) -> bool:
    """Return whether ``make test`` leaves the test out on both databases."""
    return nodeid.removeprefix("tests/").startswith(tuple(ONLY_IN_MATRIX))


def only_database(nodeid: str) -> str:
    """Return the vendor of the one database that a test needs, or an empty string for a test that runs on both."""
    below_tests = nodeid.removeprefix("tests/")
    if below_tests.startswith(tuple(ONLY_ON_SQLITE)):
        return "sqlite"
    return "postgresql" if below_tests.startswith(tuple(ONLY_ON_POSTGRESQL)) else ""
