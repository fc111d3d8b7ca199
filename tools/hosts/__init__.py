"""Race the promises between three hosts that know nothing of each other, with clocks that differ.

    make hosts                                        # or, with ROUNDS=100
    python -m tools.hosts --rounds 20 [--pgbouncer] [--skew 5]
    python -m tools.hosts --skew 40                   # beyond the clock skew: the verdict is BAD
    python -m tools.hosts [--pgbouncer] [--skew 5] --races [tests/races/test_races.py -k nonce]

Each host is gunicorn with the demo, in a network namespace of its own (with root on Linux) that has no network at all,
not even loopback. The three reach PostgreSQL or PgBouncer by its unix socket, and nothing else. ``--skew S`` sets their
clocks S seconds back, right, and S seconds ahead (libfaketime, from .venv-failover or the system), so that the
outermost are twice as far apart; a purge runs with the clock that is ahead. securecore promises to hold while two
clocks differ by at most ``clock.SKEW``, 10 seconds.

With ``--races`` the hosts run no gunicorn: the work of each race of tests/races is a process on one of them
(tests/races/carriers.py).
"""
