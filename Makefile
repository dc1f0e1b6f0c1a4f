# `make test` is enough after a fresh clone: it installs what is missing, starts its own servers and stops them.
.DEFAULT_GOAL := help
.PHONY: sql-bench sql-outage help install build test test-nodes check check-all lint typecheck coverage bench faults sqlite-faults sqlite-bench statedb-faults canvas-model canvas-bench cluster schedules beat-bench parked format clean demo demo-redis demo-python first-curl servers oracle docs beat-faults

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## npm ci, when node_modules does not match package-lock.json
	@node scripts/install.mjs

build: install ## compile src/ to dist/
	@node scripts/build.mjs

test: install ## the whole suite; the last line counts it (under 8 minutes)
	@node scripts/test.mjs

test-nodes: install ## unit, conformance and package suites and the demo on Node 20, 22 and 24
	@node scripts/test-nodes.mjs

check: install ## format, lint, types, import rules, dead code, package exports, documents (about a minute)
	@node scripts/check.mjs

check-all: install ## what CI runs: check, build, the whole suite, the package as users install it, other versions of Node (under 25 minutes)
	@node scripts/check.mjs && node scripts/test.mjs --package && node scripts/test-nodes.mjs --others

lint: install ## formatting and lint rules
	@npx biome check . && npx oxlint --type-aware src test bench scripts examples vitest.config.ts

typecheck: install ## the compiler on everything
	@npx tsc -p tsconfig.check.json

coverage: install ## the suite with coverage, and a gate for each folder
	@node scripts/test.mjs --coverage && node scripts/coverage-gates.mjs

bench: build ## speed beside BullMQ and Python Celery
	@node scripts/oracle.mjs >/dev/null || echo "without Python Celery"
	@node bench/run.mjs

faults: build ## kill and stop workers, kill their children and restart Redis under load, and count what is lost
	@node bench/faults/run.mjs

sqlite-faults: build ## kill workers and producers that share one SQLite file, and count what is lost
	@node bench/faults/sqlite.mjs

sqlite-bench: build ## speed of the embedded database
	@node bench/sqlite/run.mjs

statedb-faults: ## kill a worker 200 times after it acknowledged a revoke, revoke 11,000 tasks with no worker online; none runs
	@PETIOLE_STATEDB_KILLS=200 PETIOLE_STATEDB_IDS=10000 npx vitest run --no-file-parallelism \
		test/integration/statedb-kill.test.ts test/integration/statedb-eleven.test.ts test/interop/statedb.test.ts

sql-bench: build ## results a second in PostgreSQL, beside django-celery-results
	@node bench/sql/run.mjs

sql-outage: ## PostgreSQL stopped for 30 s under load: no ack before its result, all stored within 5 s
	@PETIOLE_SQL_OUTAGE_S=30 npx vitest run test/integration/sql-outage.test.ts

canvas-model: ## 5,000 random canvases on workers that are killed 200 times, against a reference; prints seed and figures
	@PETIOLE_CANVASES=5000 npx vitest run test/integration/canvas-model.test.ts

canvas-bench: build ## chords of 1,000 and 10,000: how long they take, and how long event loops stand still
	@node bench/canvas/run.mjs

cluster: build ## TypeScript and Python workers in one cluster for ten minutes, steered by clients of both languages
	@node scripts/oracle.mjs >/dev/null && node bench/cluster/run.mjs

schedules: ## a hundred thousand crontabs at random instants against Python's Celery, solar events, every zone's changes
	@PETIOLE_SCHEDULE_CASES=100000 PETIOLE_ZONES=all npx vitest run test/interop/schedules.test.ts test/unit/schedules/zones.test.ts

beat-bench: build ## a scheduler of 10,000 entries: its start, its CPU, and how late runs are
	@node bench/beat/run.mjs

beat-faults: ## kill, stop and cut off the leader of three beats a hundred times; every slot is executed once
	@PETIOLE_BEAT_FAULTS=100 npx vitest run test/integration/beat-faults.test.ts

parked: build ## how a worker's memory grows with 200,000 tasks that wait for their ETA
	@node bench/memory/parked.mjs

format: install ## format everything
	@npx biome check --write .

docs: build ## write the generated documents
	@node scripts/docs.mjs

demo: install ## the web service of examples/web with two workers, on port 8000 (PORT=8001 is another one)
	@node scripts/demo.mjs

demo-redis: install ## the same on a Redis and a PostgreSQL that it starts itself
	@node scripts/demo.mjs --redis

demo-python: install ## a TypeScript and a Python worker, ten tasks each way, a chord over both
	@node scripts/demo-python.mjs

first-curl: ## time from git clone to the first answer of make demo, with a warm package cache (at most 60 s)
	@node scripts/first-curl.mjs

servers: ## install what the tests start
	@node scripts/ensure-servers.mjs

oracle: ## install Python's Celery into .venv
	@node scripts/oracle.mjs

clean: ## remove what was built or measured; not node_modules or .venv
	@rm -rf dist coverage .cache *.tgz
