"""Measure requests a second and their times through nginx with client certificates: protected beside unprotected.

    python -m tests.support.postgres -- python -m benchmarks.throughput [--rounds N] [--seconds S] [--clients N]

The demo's two services run as in ``make demo``, on one PostgreSQL, with the same workers: the payments service under
securecore, and its unprotected twin. Each of the clients keeps one TLS connection open and sends its next request when
it has the response. Protected and unprotected run in turn within each round, so that a slow machine slows both. The
measurement is made twice, without and with a lease of 200 ms. The clients run on the same machine and take a part of
its time, the same part for both services.

A transfer locks the rows of two accounts, the payer's and the payee's, until its transaction commits. So there are two
write loads:

* ``one account``: every client is alice and pays bob. Each transfer waits for the row locks of another, so the rate
  depends mostly on the time from the lock to the commit. The protected service also stores the response of the
  idempotency key in that time. The ratio is that of a service whose clients all change the same row.
* ``own accounts``: each client has a certificate, a user, an account and a payee of its own. No transfer waits for the
  row locks of another, so the rate depends on the whole work of a request. The ratio is that of a service whose clients
  change rows of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import ssl
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.throughput_accounts import Parties, own_accounts
from demo_project.stack import Stack

#: The settings of the protected service without and with a lease.
LEASES = {"no lease": "demo_project.settings", "lease 200 ms": "benchmarks.throughput_settings"}
SERVICES = {"protected": "", "unprotected": "/vulnerable"}
WORKERS = ("-w", "2")
READ, WRITE = "GET /api/accounts", "POST /api/transfers"
ONE, OWN = f"{WRITE}, one account", f"{WRITE}, own accounts"


@dataclass
class Load:
    """The clients of one service and route, and the seconds of each of their requests.

    ``parties`` has the user and the payee of each client.
    """

    stack: Stack
    prefix: str
    route: str
    parties: Parties
    times: list[float] = field(default_factory=list)
    spent: float = 0.0

    def run(self, seconds: float, *, counts: bool = True) -> None:
        """Send requests for ``seconds``. Raises if a response is no success."""
        until = time.perf_counter() + seconds
        results: list[list[float] | Exception] = []
        threads = [threading.Thread(target=self._client, args=(*each, until, results)) for each in self.parties]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            if isinstance(result, Exception):
                raise result
            if counts:
                self.times += result
        if counts:
            self.spent += seconds

    def _client(self, user: str, payee: str, until: float, results: list[list[float] | Exception]) -> None:
        times = []
        try:
            with self._connection(user) as connection:
                while time.perf_counter() < until:
                    started = time.perf_counter()
                    connection.sendall(self._request(payee))
                    self._read(connection)
                    times.append(time.perf_counter() - started)
        except Exception as error:  # raised in the main thread
            results.append(error)
        else:
            results.append(times)

    def _connection(self, user: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.stack.pki / "ca.pem"))
        context.load_cert_chain(self.stack.pki / f"{user}.pem", self.stack.pki / f"{user}.key")
        plain = socket.create_connection(("127.0.0.1", self.stack.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname="localhost")

    def _request(self, payee: str) -> bytes:
        method, _, path = self.route.partition(" ")
        order = {"to": payee, "amount": 1, "memo": "rent"}
        body = json.dumps(order).encode() if method == "POST" else b""
        more = f"Idempotency-Key: {secrets.token_hex(16)}\r\nContent-Type: application/json\r\n" if body else ""
        head = f"{method} {self.prefix}{path} HTTP/1.1\r\nHost: localhost:{self.stack.port}\r\n{more}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _read(self, connection: ssl.SSLSocket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more(connection)
        head, _, rest = received.partition(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise RuntimeError(f"{self.prefix}{self.route}: {received[:400]!r}")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while len(rest) < length:
            rest += self._more(connection)

    def _more(self, connection: ssl.SSLSocket) -> bytes:
        chunk = connection.recv(65_536)
        if not chunk:
            raise RuntimeError(f"{self.prefix}{self.route}: nginx closed the connection.")
        return chunk


def measured(stack: Stack, rounds: int, seconds: float, clients: int) -> dict[str, dict[str, float]]:
    """Return the requests a second, and the median and p99 in milliseconds, by load and service."""
    alike = [("alice", "bob")] * clients
    # Each read lists every account, so the reads end before there are more accounts.
    figures = _figures(stack, {READ: (READ, alike)}, rounds, seconds)
    writes = {ONE: (WRITE, alike), OWN: (WRITE, own_accounts(stack, clients))}
    return figures | _figures(stack, writes, rounds, seconds)


def _figures(
    stack: Stack, plan: dict[str, tuple[str, Parties]], rounds: int, seconds: float
) -> dict[str, dict[str, float]]:
    """Run the loads of ``plan`` on both services, in turn within each round. ``plan`` has route and parties by name."""
    loads = {
        f"{name} {service}": Load(stack, prefix, route, parties)
        for name, (route, parties) in plan.items()
        for service, prefix in SERVICES.items()
    }
    for number in range(rounds + 1):
        for _, load in sorted(loads.items(), reverse=bool(number % 2)):
            load.run(seconds, counts=number > 0)  # the first round warms up
    return {
        name: {
            "rate": len(load.times) / load.spent,
            "median": statistics.median(load.times) * 1e3,
            "p99": statistics.quantiles(load.times, n=100)[98] * 1e3,
        }
        for name, load in loads.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--leases", nargs="+", choices=LEASES, default=list(LEASES))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = {}
    for lease in arguments.leases:
        name = f"throughput_{secrets.token_hex(6)}"
        server = os.environ["TEST_DATABASE_URL"]
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        try:
            with (
                tempfile.TemporaryDirectory(prefix="securecore-throughput-") as var,
                Stack(
                    port=20_000 + secrets.randbelow(12_768),
                    var=Path(var),
                    database_url=f"{server.rpartition('/')[0]}/{name}",
                    settings=LEASES[lease],
                    gunicorn=WORKERS,
                    twin=WORKERS,
                ) as stack,
            ):
                figures[lease] = measured(stack, arguments.rounds, arguments.seconds, arguments.clients)
        finally:
            with psycopg.connect(server, autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    print(json.dumps(figures)) if arguments.json else show(figures)


def show(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    for lease, routes in figures.items():
        print(f"\n{lease}")
        for name, figure in routes.items():
            print(
                f"  {name:44} {figure['rate']:7.0f}/s  median {figure['median']:6.1f} ms  p99 {figure['p99']:6.1f} ms"
            )
        for route in (READ, ONE, OWN):
            ratio = routes[f"{route} protected"]["rate"] / routes[f"{route} unprotected"]["rate"]
            print(f"  {route:44} protected over unprotected {ratio:.2f}")


if __name__ == "__main__":
    main()
