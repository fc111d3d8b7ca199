"""Send a million requests through nginx, and measure the memory of the service and the rows of its tables.

    python -m tests.support.postgres -- python -m tools.soak --requests 1000000 --chart docs/soak.svg

Every ten requests come with another certificate, session, access token, nonce and idempotency key. ``population``
creates the users, ``visitor`` sends the requests of one certificate, ``memory`` samples the processes and judges the
slope, ``tables`` counts rows before, after, and behind a purge. The same certificates visit the demo's unprotected
twin, which keeps each of them: its line shows that the measurement finds a leak.
"""
