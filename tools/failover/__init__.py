"""Test promises across a failover: Patroni promotes a standby under load, and a checker judges the history.

    make failover ROUNDS=10                                    # two synchronous standbys: everything must hold
    python -m tools.failover --asynchronous --rounds 2         # replays of lost nonces are accepted: the verdict is BAD
    python -m tools.failover --asynchronous --fence --rounds 2 # the fence refuses them
    python -m tools.failover.checker HISTORY DATABASE_URL

``cluster`` starts etcd, three PostgreSQL servers under Patroni, and HAProxy, each on loopback. ``links`` are the cables
between them, which a round cuts. ``failures`` are the ways in which a primary ends. ``load`` sends requests through the
demo's nginx; ``checker`` reads only the history and the tables. Patroni and etcd live in .venv-failover.
"""
