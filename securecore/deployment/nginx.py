"""Find known traps in the configuration of an nginx in front of securecore (``manage.py securecore_edge check``).

Every trap but N11 has led to an accepted request that should have been refused; N11 leaves an incident without the
lines of its requests. A finding has a code, a place and the directive to write instead. The parser comes with the extra
``securecore[edge]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import crossplane

from securecore.http.edge import sources

VERIFY, CERTIFICATE, SECRET = map(sources.field_name, (sources.VERIFY, sources.PEM, sources.SECRET))
REQUEST_ID = sources.field_name(sources.REQUEST_ID)
#: The right values of the two headers. The value "" removes the header, which is right where nginx requests no
#: certificate.
_PROVEN = {VERIFY: ("$ssl_client_verify", ""), CERTIFICATE: ("$ssl_client_escaped_cert", "")}
_PASSES = ("proxy_pass", "uwsgi_pass", "fastcgi_pass", "scgi_pass", "grpc_pass")


@dataclass(frozen=True)
class Finding:
    code: str
    place: str
    problem: str
    hint: str


@dataclass(frozen=True)
class Context:
    """A block with its inherited directives.

    The innermost directive of a name counts. The ``proxy_set_header`` lines are inherited only if the block has none.
    """

    place: str
    directives: dict[str, list[str]]
    headers: dict[str, str]
    #: Headers that an outer block sets, and that this block's own ``proxy_set_header`` lines drop.
    lost: frozenset[str] = frozenset()

    def says(self, directive: str, default: str) -> str:
        return (self.directives.get(directive) or [default])[0]

    @property
    def verifies(self) -> bool:
        return self.says("ssl_verify_client", "off") != "off"


def check(path: str) -> list[Finding]:
    """Return the findings for the configuration with the main file ``path`` and its includes.

    Raises ``ValueError`` for an unreadable file, and for a file that nginx would refuse too.
    """
    parsed = crossplane.parse(path, combine=True, single=False, check_ctx=False, check_args=False)
    if parsed["status"] != "ok":
        errors = [f"{error.get('file', path)}: {error['error']}" for error in parsed["errors"]]
        raise ValueError("; ".join(errors))
    blocks = [block for config in parsed["config"] for block in config["parsed"]]
    http = next((block for block in blocks if block["directive"] == "http"), None)
    if http is None:
        raise ValueError(f"{path} has no http block")
    whole = _entered(Context("", {}, {}), http)
    servers = [(_entered(whole, block), block) for block in http["block"] if block["directive"] == "server"]
    upstreams = {block["args"][0]: block for block in http["block"] if block["directive"] == "upstream"}
    return [*_of_servers(whole, [server for server, _ in servers]), *_of_locations(servers, upstreams)]


def _entered(outer: Context, block: dict[str, Any]) -> Context:
    own = {each["directive"]: list(each["args"]) for each in block["block"] if "block" not in each}
    set_here = [each["args"] for each in block["block"] if each["directive"] == "proxy_set_header"]
    headers = {arguments[0].lower(): arguments[1] for arguments in set_here}
    place = f"{block.get('file', '')}:{block['line']}"
    if not headers:
        return Context(place, {**outer.directives, **own}, outer.headers, outer.lost)
    return Context(place, {**outer.directives, **own}, headers, frozenset({*outer.headers, *outer.lost} - set(headers)))


def _of_servers(whole: Context, servers: list[Context]) -> Iterator[Finding]:
    if not any(server.verifies for server in servers):
        yield Finding("N01", whole.place, "No server asks for a client certificate.", "ssl_verify_client optional;")
    for context in [whole, *servers]:
        if context.says("underscores_in_headers", "off") == "on":
            yield Finding(
                "N02",
                context.place,
                "X_SSL_Client_Verify reaches the application, which reads it as X-SSL-Client-Verify.",
                "underscores_in_headers off; in the default server",
            )
            break
    for server in servers:
        if server.verifies:
            yield from _of_handshake(server)


def _of_handshake(server: Context) -> Iterator[Finding]:
    if server.says("ssl_verify_client", "off") == "optional_no_ca":
        yield Finding(
            "N03",
            server.place,
            "Certificates without a trusted authority are accepted.",
            "ssl_verify_client optional; unless you want self-signed certificates",
        )
    if server.says("ssl_session_cache", "none").startswith(("shared", "builtin")):
        yield Finding(
            "N04",
            server.place,
            "A resumed session stays verified after its certificate was revoked or has expired.",
            "ssl_session_cache off;",
        )
    if server.says("ssl_session_tickets", "on") != "off":
        yield Finding(
            "N05",
            server.place,
            "A session ticket stays good after its certificate was revoked or has expired; tickets are on by default.",
            "ssl_session_tickets off;",
        )
    if server.says("ssl_early_data", "off") == "on":
        yield Finding("N06", server.place, "Early data can be replayed by anyone on the path.", "ssl_early_data off;")
    if "ssl_crl" not in server.directives and server.says("ssl_ocsp", "off") == "off":
        yield Finding(
            "N07",
            server.place,
            "This server accepts certificates that the authority has revoked.",
            "ssl_crl /path/crl.pem; for every authority of the chain, or ssl_ocsp on;",
        )


def _of_locations(servers: list[tuple[Context, Any]], upstreams: dict[str, Any]) -> Iterator[Finding]:
    passing = [(server, *each) for server, block in servers for each in _passing(server, block)]
    # Another server, for example on port 80, may lead to the same application.
    protected = {target for server, _, _, target in passing if server.verifies}
    for _, context, directive, target in passing:
        if target not in protected:
            continue
        if directive != "proxy_pass":
            yield Finding(
                "N08",
                context.place,
                f"{directive} passes the client's own headers and ignores proxy_set_header.",
                "proxy_pass, to a server that speaks HTTP",
            )
            continue
        yield from _of_headers(context)
        yield from _of_request_id(context)
        if _is_over_tcp(target, upstreams) and not context.headers.get(SECRET):
            yield Finding(
                "N10",
                context.place,
                f"Nothing proves to {target} that requests come from this nginx: any host that reaches it is believed.",
                "a unix socket, or proxy_set_header X-Proxy-Auth \"one of SECURECORE['PROXY_SECRETS']\";",
            )


def _of_headers(context: Context) -> Iterator[Finding]:
    for header, right in _PROVEN.items():
        if context.headers.get(header) in right:
            continue
        if header in context.headers:
            problem = f"{header} is set to {context.headers[header]}."
        elif header in context.lost:
            problem = f"Its proxy_set_header lines drop all inherited ones: a client sets {header} itself."
        else:
            problem = f"A client sets {header} itself."
        yield Finding("N09", context.place, problem, f"include proxied.conf; or proxy_set_header {header} {right[0]};")


def _of_request_id(context: Context) -> Iterator[Finding]:
    """Find an id of the request that the client chooses, or that nginx's own log does not have."""
    value = context.headers.get(REQUEST_ID)
    if value == "$request_id":
        return
    if value:
        problem = f"{REQUEST_ID} is set to {value}, which is not the id in nginx's own log."
    elif value == "":
        problem = f"{REQUEST_ID} is removed: no line of nginx's log can be joined with the application's."
    elif REQUEST_ID in context.lost:
        problem = f"Its proxy_set_header lines drop all inherited ones: a client chooses {REQUEST_ID} itself."
    else:
        problem = f"A client chooses {REQUEST_ID} itself, and so the lines of a log that its requests seem to be."
    hint = f"include proxied.conf; or proxy_set_header {REQUEST_ID} $request_id;"
    yield Finding("N11", context.place, problem, hint)


def _passing(outer: Context, block: dict[str, Any]) -> Iterator[tuple[Context, str, str]]:
    """Yield each block inside ``block`` that passes requests on, with its directive and target."""
    for inner in block["block"]:
        if "block" in inner and inner["directive"] in ("location", "if", "limit_except"):
            # nginx does not inherit the directives that pass requests on.
            own = replace(outer, directives={k: v for k, v in outer.directives.items() if k not in _PASSES})
            yield from _passing(_entered(own, inner), inner)
        elif inner["directive"] in _PASSES:
            here = replace(outer, place=f"{inner.get('file', '')}:{inner['line']}")
            yield here, inner["directive"], _target(inner["args"][0])


def _target(passed: str) -> str:
    """Return the target without scheme and path: ``unix:/run/app.sock`` for ``http://unix:/run/app.sock:/x``."""
    rest = passed.partition("://")[2] or passed
    if rest.startswith("unix:"):
        return ":".join(rest.split(":")[:2])
    return rest.partition("/")[0]


def _is_over_tcp(target: str, upstreams: dict[str, Any]) -> bool:
    if target not in upstreams:
        return not target.startswith("unix:")
    members = [line["args"][0] for line in upstreams[target]["block"] if line["directive"] == "server"]
    return not all(member.startswith("unix:") for member in members)
