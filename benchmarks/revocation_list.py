"""Measure the import of a revocation list: the first one, the next one with a hundredth of changes, and the memory.

    python -m tests.support.postgres -- python -m benchmarks.revocation_list [--entries 1000000] [--rounds N] [--json]

Each import runs in a process of its own, for the measurement of its largest memory. Meanwhile another process runs the
query of a request under a certificate, one after the other, and measures each.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import django
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.record_settings")
django.setup()

from django.db import connection, connections  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from securecore import caller, clock  # noqa: E402
from securecore.identity import parse_der  # noqa: E402
from securecore.revocation_lists import import_list  # noqa: E402
from securecore.testing import Authority  # noqa: E402

AUTHORITY = Authority()
CERTIFICATE = AUTHORITY.issue("Test CA", key=AUTHORITY.key).certificate
#: SEQUENCE { OID cRLReason, OCTET STRING { ENUMERATED keyCompromise } }, in its SEQUENCE.
REASON = bytes.fromhex("300c300a0603551d1504030a0101")


def write(path: Path, entries: int, begin: int, number: int) -> None:
    """Write a list of the serial numbers from ``begin`` on, signed by ``AUTHORITY``. cryptography's builder copies all
    entries for each new one, so the entries are written as bytes.
    """
    now = clock.now()
    builder = x509.CertificateRevocationListBuilder().issuer_name(AUTHORITY.name)
    builder = builder.last_update(now - dt.timedelta(hours=1) + dt.timedelta(seconds=number))
    builder = builder.next_update(now + dt.timedelta(days=1))
    small = builder.add_extension(x509.CRLNumber(number), critical=False).sign(AUTHORITY.key, hashes.SHA256())
    assert isinstance(AUTHORITY.key, ec.EllipticCurvePrivateKey)
    fields = small.tbs_certlist_bytes
    extensions = fields.index(b"\xa0", 3)
    date = b"\x17\x0d" + now.strftime("%y%m%d%H%M%SZ").encode()
    listed = b"".join(
        sequence(b"\x02\x10\x40" + hashlib.sha256(serial.to_bytes(8, "big")).digest()[:15] + date + REASON)
        for serial in range(begin, begin + entries)
    )
    head = fields[3 if fields[1] == 0x81 else 2 : extensions]
    tbs = sequence(head + sequence(listed) + fields[extensions:])
    algorithm = small.public_bytes(Encoding.DER)
    algorithm = algorithm[algorithm.index(fields) + len(fields) :][:12]
    signature = b"\x00" + AUTHORITY.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    path.write_bytes(sequence(tbs + algorithm + b"\x03" + bytes([len(signature)]) + signature))


def sequence(content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((0x30, length)) + content
    encoded = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((0x30, 0x80 | len(encoded))) + encoded + content


def run_import(path: Path, result: Any) -> None:
    """Import the list; send its seconds, the MiB by which it raised the process's memory, and the changes."""
    connections.close_all()
    connection.ensure_connection()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    done = import_list(path, authorities=[CERTIFICATE])
    spent = time.perf_counter() - started
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    result.send((spent, memory, done.added, done.removed))


def requests(until: Any, result: Any) -> None:
    """Run the query of a request every 5 ms until the event ``until``, and send the seconds of each."""
    connections.close_all()
    certificate = parse_der(AUTHORITY.issue("alice").der)
    times = []
    while not until.is_set():
        started = time.perf_counter()
        caller.user_of_certificate(certificate)
        times.append(time.perf_counter() - started)
        time.sleep(0.005)
    result.send(times)


def imported(path: Path) -> dict[str, float]:
    context = multiprocessing.get_context("fork")
    over, (times, live), (results, sender) = context.Event(), context.Pipe(duplex=False), context.Pipe(duplex=False)
    connections.close_all()
    beside = context.Process(target=requests, args=(over, live))
    process = context.Process(target=run_import, args=(path, sender))
    beside.start()
    process.start()
    seconds, memory, added, removed = results.recv()
    over.set()
    waits = sorted(times.recv())
    process.join()
    beside.join()
    p99 = waits[int(len(waits) * 0.99)] * 1e3
    return {"seconds": seconds, "mib": memory, "added": added, "removed": removed, "p99": p99}


def measured(entries: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians of the first import, of the next one, and of the same one again."""
    found: dict[str, list[dict[str, float]]] = {"first": [], "next": [], "again": []}
    size = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.crl"
        for _ in range(rounds):
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE securecore_revocation_list, securecore_listed_certificate")
            for number, name in enumerate(found):
                if name != "again":
                    write(path, entries, number * (entries // 100), number + 1)
                size = path.stat().st_size
                found[name].append(imported(path))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_total_relation_size('securecore_listed_certificate')")
        (table,) = cursor.fetchone()
    figures = {
        name: {key: statistics.median(each[key] for each in results) for key in results[0]}
        for name, results in found.items()
    }
    return figures | {"bytes": {"file": size / 2**20, "table": table / 2**20}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        figures = {entries: measured(entries, arguments.rounds) for entries in arguments.entries}
    finally:
        teardown_databases(databases, verbosity=0)
    if arguments.json:
        print(json.dumps(figures))
        return
    for entries, each in figures.items():
        sizes = each.pop("bytes")
        print(f"\n{entries:,} entries: a file of {sizes['file']:.0f} MiB, a table of {sizes['table']:.0f} MiB")
        for name, figure in each.items():
            changes = f"{figure['added']:9,.0f} added {figure['removed']:7,.0f} removed"
            print(
                f"  {name:6} import {figure['seconds']:6.1f} s  +{figure['mib']:4.0f} MiB  {changes}  "
                f"p99 of a request's query {figure['p99']:5.1f} ms"
            )


if __name__ == "__main__":
    main()
