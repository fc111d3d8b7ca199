"""Every object that outlives a request is listed here, with the reason why two callers may share it.

A new cache makes this red: decide first that its values are immutable, or that each reader gets a copy, and that its
key names everything that the value depends on: the tenant too, where a row of the database decides.
"""

from __future__ import annotations

import ast

from tests.support.tree import files, relative

#: Values of these are str, bytes, int, datetime, tuple or frozenset, or a frozen dataclass of such values.
IMMUTABLE = {
    "grants/authorization.py:_groups": "a frozenset of names; the check reads them again behind the gate",
    "identity/encodings.py:parsed": "ClientCertificate and x509.Certificate: the parsed form of the key",
    "sessions/signatures.py:_payloads": "bytes; each session decodes them into objects of its own",
    "tokens/access.py:_good": "AccessToken: what the signed bytes say; whether its key is stored is read each time",
    "tokens/keys.py:_known": "SigningKey; whether this database stores it is read each time",
    "tokens/keys.py:_decrypted": "SigningKey",
    "http/edge/proxy.py:_in_trusted_network": "bool",
    "http/edge/proxy_signature.py:load_key": "a public key of cryptography, which has no way to change it",
    "http/sessions/session_user.py:_is_ours": "bool",
    "database/rows.py:_update_sql": "str",
    "grants/query/auth_tables.py:_groups": "str",
    "grants/query/auth_tables.py:_permissions": "str",
    "grants/principals.py:_relatives": "models and their labels",
    "http/authorization/granted_view.py:_require_known_names": "None",
}
#: Objects that only securecore's own code holds; a view reaches none of them.
INTERNAL = {
    "caller/leased_snapshots.py:_leased": "a Snapshot; UserTable.user() copies each value that can be changed",
    "actors.py:_account": "str",
    "metrics/spans.py:_next_look": "the instant at which the next span looks for a provider",
    "caller/user_table.py:_table": "the names of a table's columns",
    "caller/query.py:places": "where a column is",
    "caller/query.py:_query": "SQL",
    "database/claims.py:_function": "SQL",
    "grants/gate/advisory.py:behind_locks": "SQL",
    "database/callable_functions.py:_known": "names of functions of the database",
    "grants/gate/semaphore.py:_semaphores": "a semaphore, shared on purpose; tenants that share it wait longer",
    "grants/query/caller_state.py:_function": "SQL",
    "identity/chain.py:_authorities": "certificates of the settings",
    "identity/chain.py:_leaf_policy": "the rules for a client's certificate",
    "metrics/state.py:_last": "numbers of the whole database; the permission metrics.read guards them",
    "tokens/keys.py:_configured": "keys of the settings",
}


def kept() -> set[str]:
    """Return the name of each cache: a ``BoundedCache``, a function under ``lru_cache``, a ``global`` name."""
    found = set()
    for path in files(".py", under="securecore"):
        where = relative(path).removeprefix("securecore/")
        for node in ast.walk(ast.parse(path.read_text())):
            found |= {f"{where}:{name}" for name in _names(node)}
    return found


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.AnnAssign | ast.Assign) and node.value and "BoundedCache(" in ast.unparse(node.value):
        return [ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)]
    if isinstance(node, ast.FunctionDef):
        decorators = {ast.unparse(each).removeprefix("functools.").partition("(")[0] for each in node.decorator_list}
        return [node.name] if decorators & {"cache", "lru_cache"} else []
    return node.names if isinstance(node, ast.Global) else []


def test_every_cache_says_why_callers_may_share_it() -> None:
    assert kept() == IMMUTABLE.keys() | INTERNAL.keys()
