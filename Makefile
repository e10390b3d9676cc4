# Two commands do everything: `make demo` and `make test`. Both set up .venv by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# processes of tests: each takes up to 2 GB, and as much again for what it starts
WORKERS ?= $(shell awk '/MemAvailable/ {print ($$2 > 12000000) ? 3 : 2}' /proc/meminfo 2>/dev/null || echo 2)

.PHONY: demo test image-check test-cluster test-clients lint types unit format fuzz audit clean

demo: $(STAMP)
	$(BIN)/s2sw demo

# types are checked beside the tests, which wait for much; the outcome of both is told, whichever fails
test: lint
	@$(MAKE) --no-print-directory --keep-going --jobs 2 types unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# a head of Ray and other nodes on one machine: apart from the others, since they need a quiet one
test-cluster: $(STAMP)
	$(BIN)/pytest -m cluster tests/robustness tests/integration/test_submit.py

# the steps of deploy/Containerfile in a fresh Debian root, and a screening in it: root on Debian, 10 GB, and
# the first time 4 GB to fetch. make image-check TARGET=cuda takes the other target
TARGET ?= cpu
image-check: $(STAMP)
	@for tool in mmdebstrap:mmdebstrap ip:iproute2; do command -v $${tool%%:*} >/dev/null || \
	  apt-get install --yes $${tool##*:} >/dev/null 2>&1 || \
	  { apt-get update && apt-get install --yes $${tool##*:}; } >/dev/null 2>&1 || true; done
	$(BIN)/python -m tests.deploy.rehearsal --target $(TARGET)

# what is written, in programs that are fetched for it (npm, apt, pip); 4 GB, most of it Spark and ClickHouse
CLIENTS := readers datumaro label-studio
STUDIO := .clients/label-studio
test-clients: $(STAMP)
	@for one in dciodvfy:dicom3tools java:default-jre-headless npm:npm; do command -v $${one%%:*} >/dev/null || test "$$(id -u)" != 0 || \
	  apt-get install --yes $${one##*:} >/dev/null 2>&1 || \
	  { apt-get update && apt-get install --yes $${one##*:}; } >/dev/null 2>&1 || true; done
	@test -x $(BIN)/segimage2itkimage || $(BIN)/pip install --quiet --constraint constraints.txt dcmqi || true
	@# in environments of their own: what they need does not fit ours
	@for one in $(CLIENTS); do test -x .clients/$$one/bin/pip || $(PYTHON) -m venv .clients/$$one; \
	  .clients/$$one/bin/pip install --quiet --requirement tests/support/clients/$$one.txt || rm -rf .clients/$$one; done
	@# the package as users get it, without an extra
	@test -x .clients/s2sw/bin/pip || $(PYTHON) -m venv .clients/s2sw; \
	  .clients/s2sw/bin/pip install --quiet --force-reinstall --no-deps . && \
	  .clients/s2sw/bin/pip install --quiet --constraint constraints.txt . || rm -rf .clients/s2sw
	@# its empty database takes minutes to make: once, not in the test
	@test ! -x $(STUDIO)/bin/label-studio || test -d $(STUDIO)/data || { rm -rf $(STUDIO)/making; LABEL_STUDIO_BASE_DATA_DIR=$(CURDIR)/$(STUDIO)/making \
	  COLLECT_ANALYTICS=False LATEST_VERSION_CHECK=false $(STUDIO)/bin/label-studio init prepared \
	  --username reviewer@example.org --password only-for-this-test >/dev/null 2>&1 && mv $(STUDIO)/making $(STUDIO)/data; } || true
	$(BIN)/pytest -rs --durations 10 -m clients tests/pipeline/exports tests/pipeline/results tests/jobs/test_light_install.py tests/pipeline/review
	$(BIN)/pytest -rs tests/pipeline/exports/test_dicom.py tests/pipeline/exports/test_dciodvfy.py

# several at a time: what starts Ray waits as much as it computes; the order is that of tests/conftest.py. Who breaks
# the rest is told before it has waited for each
unit: $(STAMP)
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --durations 10 --maxfail 20

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# make fuzz N=100000: mutated files through the decoders, in processes that may die (docs/reliability.md)
N ?= 10000
SEED ?= 1
fuzz: $(STAMP)
	nice $(BIN)/python -m tests.robustness.fuzz --inputs $(N) --seed $(SEED)

# known vulnerabilities of the pinned versions; says so where the database cannot be reached
audit: $(STAMP)
	@test -x $(BIN)/pip-audit || $(BIN)/pip install --quiet pip-audit || { echo "make audit: no pip-audit here"; exit 1; }
	@$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt || { \
	  echo "make audit: see above; without a way to the database nothing was checked"; exit 1; }

# constraints.txt pins every version that the tests passed with; pyproject.toml says which ranges may work
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[demo,dev]'
	@# tests that trace a run's connections, or drive the review page, skip without these
	@for tool in strace chromium; do command -v $$tool >/dev/null || test "$$(id -u)" != 0 || \
	  apt-get install --yes $$tool >/dev/null 2>&1 || \
	  { apt-get update && apt-get install --yes $$tool; } >/dev/null 2>&1 || true; done
	touch $@

clean:
	rm -rf $(VENV) demo-output build *.egg-info
