"""Promises under SIGKILL: clients that retry, a service and a database that are killed, and a checker.

    python -m tools.chaos idempotency --keys 200                 # its own PostgreSQL
    python -m tools.chaos idempotency --database sqlite
    python -m tools.chaos.checker HISTORY DATABASE_URL           # judges the history and the tables of such a run

The frame of every scenario: ``place`` starts a database and gunicorn, ``killers`` says which processes die and
how often, ``client`` speaks HTTP over the service's unix socket, ``history`` records each event in one line. A scenario
brings the requests; a checker of its own reads only the history and the tables.
"""
