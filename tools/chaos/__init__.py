"""Test promises under SIGKILL: clients retry, a service and a database are killed, and a checker judges.

    python -m tools.chaos idempotency --keys 200                 # its own PostgreSQL
    python -m tools.chaos idempotency --database sqlite
    python -m tools.chaos.checker HISTORY DATABASE_URL           # judges the history and the tables of such a run

All scenarios share four modules. ``place`` starts a database and gunicorn. ``killers`` kills processes at intervals.
``client`` sends HTTP over the service's unix socket. ``history`` records each event in one line. A scenario adds the
requests and a checker, which reads only the history and the tables.
"""
