"""Promises under SIGKILL: clients that retry, a service whose workers and whose database are killed, and a judge.

    python -m tests.chaos idempotency --keys 200                 # its own PostgreSQL
    python -m tests.chaos idempotency --database sqlite
    python -m tests.chaos.checker HISTORY DATABASE_URL           # judges what such a run left behind

The frame, for every scenario: ``place`` (a database and gunicorn in front of it), ``killers`` (who dies, how often),
``client`` (HTTP over the service's unix socket), ``history`` (what happened, one line each). A scenario brings the
requests; a checker of its own reads only the history and the tables.
"""
