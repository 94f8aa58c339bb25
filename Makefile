# Two commands for people: `make run` and `make test`. The rest serves them.

PYTHON ?= python3.11
ifeq ($(shell command -v $(PYTHON) 2>/dev/null),)
PYTHON := python3
endif
VENV := .venv
BIN := $(VENV)/bin
HTTP ?= 127.0.0.1:8080
SMTP ?= 127.0.0.1:2525
DATA ?= contactbus-data
# More processes than cores: the tests wait for real servers, browsers and clocks as often as they compute.
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder

# Some machines forbid Python to keep what it has compiled: hundreds of processes would compile the whole house again.
unexport PYTHONDONTWRITEBYTECODE

MINUTES ?= 10
BUS ?= kafka

.PHONY: run test lint install install-dev recognition browser servers kafka postgres proof chaos outage clean help

help:
	@echo "make run     install what is missing, then start everything with demo customers"
	@echo "make test    install what is missing, then all checks and all tests"
	@echo "make lint    ruff, pyright, import rules"
	@echo "make kafka   one Kafka broker for development, until Ctrl+C; BROKERS=3 for three"
	@echo "make postgres  a PostgreSQL server for development, until Ctrl+C"
	@echo "make proof   every crash at every point, beside the tests"
	@echo "make chaos MINUTES=60   load, kills and the outside checker, on Kafka and PostgreSQL"
	@echo "make outage MINUTES=30  every broker gone for so long; everybody must be told yes and answered afterwards"
	@echo "make clean   remove the virtual environment and the demo's data"

run: install recognition
	$(BIN)/contactbus up --demo --data $(DATA) --http $(HTTP) --smtp $(SMTP)

# What starts brokers, kills processes and watches the clock has the machine for itself, after all the others.
ALONE := tests/faults tests/bus/log/test_kafka_faults.py tests/e2e/test_distributed.py
# One way to strike with every change; the others, and all of them on Kafka, take minutes each: `make proof` has them.
MATRIX := tests/faults/test_crash_matrix.py::test_every_point_struck_on_every_channel_breaks_no_promise
LATER := $(addprefix $(MATRIX)[,embedded-raise] embedded-hang] kafka-kill] kafka-raise] kafka-hang])

# The older line of brokers that is still in use: what the engine promises is tried on it as well.
OLDER_KAFKA := 3.9.1
KAFKA_TESTS := tests/conformance/test_distributed_log.py $(addprefix tests/bus/log/test_kafka_,members.py producer.py)

# Packages of Debian come while those of Python do; the type checker, which uses one core, works while the brokers are
# fetched and the tests compiled. The broker and the database are started once for all tests, on free ports, and
# stopped with them.
test: $(VENV)/bin/python
	@$(MAKE) --no-print-directory recognition browser servers & debian=$$!; \
		$(MAKE) --no-print-directory install-dev; installed=$$?; wait $$debian && exit $$installed
	@$(MAKE) --no-print-directory lint & lint=$$!; \
		$(BIN)/python -m deploy.servers --kafka 1 --postgres -- $(BIN)/pytest --collect-only -qqq >$(VENV)/collected || \
			cat $(VENV)/collected; \
		wait $$lint
	$(BIN)/python -m deploy.servers --kafka 1 --postgres -- $(BIN)/pytest $(PYTEST_ARGS) $(addprefix --ignore=,$(ALONE))
	$(BIN)/python -m deploy.servers --kafka 1 --postgres -- $(BIN)/pytest $(addprefix --deselect=,$(LATER)) $(ALONE)

# The whole matrix of crashes beside it: killed, failing and standing still at every point, on both engines. Ten
# thousand random lives of cases and as many calls, of which every change tries fewer. And the stories of cases and
# manners on Kafka and PostgreSQL, which every change tells on one file. Last, the engine's own suites on the older brokers.
STORIES := tests/e2e/test_manners_live.py tests/e2e/test_manners_written.py
proof: install-dev recognition servers
	CONTACTBUS_TEST_SCHEDULES=10000 $(BIN)/pytest -s tests/workers/case/test_schedules.py
	CONTACTBUS_TEST_CALLS=10000 $(BIN)/pytest -s tests/adapters/phone/test_many_calls.py
	CONTACTBUS_TEST_ENGINE=kafka $(BIN)/python -m deploy.servers --kafka 1 --postgres -- $(BIN)/pytest $(STORIES)
	$(BIN)/python -m deploy.servers --kafka 1 --postgres -- $(BIN)/pytest $(ALONE)
	$(BIN)/python -m deploy.servers --kafka 1 --kafka-version $(OLDER_KAFKA) --postgres -- $(BIN)/pytest $(KAFKA_TESTS)

kafka: install-dev servers
	$(BIN)/python -m deploy.servers --kafka $(or $(BROKERS),1) --kafka-port 9092 --folder .servers/data

postgres: install-dev servers
	$(BIN)/python -m deploy.servers --postgres --postgres-port 5432 --folder .servers/data

# Breaks everything for MINUTES and judges what came back: BUS=embedded for one file, SEED=n for a schedule again.
chaos: install-dev servers recognition
	$(BIN)/contactbus chaos --bus $(BUS) --seconds $$(( $(MINUTES) * 60 )) $(if $(SEED),--seed $(SEED))

outage: install-dev servers recognition
	PYTHONPATH=tests/doors:. $(BIN)/python -m gatehouse --minutes $(MINUTES) --rate 5

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

install: $(VENV)/installed
install-dev: $(VENV)/installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { sh deploy/debian-packages.sh python3-venv && $(PYTHON) -m venv $(VENV); }

# Not compiled: a module is compiled when it is first imported, and most of what is installed never is.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/installed

# Letters are read with tesseract. Without it they still arrive and a person reads them, so a refusal is no error here.
recognition:
	@command -v tesseract >/dev/null || sh deploy/debian-packages.sh tesseract-ocr tesseract-ocr-deu tesseract-ocr-nor tesseract-ocr-eng \
		|| echo "tesseract is not installed; letters will wait for a person (contactbus doctor tells more)"

# The tests drive a real browser.
browser:
	@command -v chromium >/dev/null || sh deploy/debian-packages.sh chromium

# The distributed engine is tested against the real servers.
servers:
	@command -v java >/dev/null && command -v mvn >/dev/null || sh deploy/debian-packages.sh openjdk-17-jre-headless maven
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || sh deploy/debian-packages.sh postgresql

clean:
	rm -rf $(VENV) $(DATA) .servers
