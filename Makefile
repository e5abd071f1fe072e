# The commands of the project. Each one sets up its environment first, if that is missing.
#
#   make demo         small budgets beside the rows of the paper on the shipped images, and a report
#   make quick        the fast tests of what git says you changed; or T='tests/test_specs.py --pdb'
#   make check        format, lint, types, import contracts, fast tests: before each commit
#   make test         format, lint, types, and all tests but the next two kinds: what CI runs
#                     (some open a browser: Chromium or Chrome, else Playwright downloads one)
#   make test-fetch   the tests that download what the package does not ship
#   make test-gpu     the tests that need a GPU
#   make coverage     the fast tests, and the lines and branches that they do not enter; T=... too
#   make mutants      the share of small faults in the code that the tests find; M='logits engine'
#   make docs         build the documentation site in site/; a warning is an error
#   make docs-serve   show the site at http://localhost:8000 while you write
#   make figures      draw the figures of the README from the committed results
#   make bench        measure the speed: other libraries, floor, time to quality, memory, ranks
#   make peers        compare the attacks with those of other libraries
#   make suites       measure Square and AutoAttack beside those of torchattacks (hours)
#   make rates        simulate how often the gate is wrong (10 minutes)
#   make anytime      measure the norms at budgets from 10 to 1,000 (6 hours)
#   make decisions    measure norms against queries, for attacks by decisions (days)
#   make defenses     measure how robust the trained networks are, and what training costs (days)
#
# WORKERS=8 runs the tests in eight processes instead of two. UV=uv installs with uv, and then
# RESOLUTION=lowest-direct installs the oldest versions that pyproject.toml allows.

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
UV ?=
RESOLUTION ?= highest
T ?=
M ?=

PYTEST := $(BIN)/python -m pytest
INSTALL := $(if $(UV),$(UV) pip install --python $(BIN)/python --resolution $(RESOLUTION),$(BIN)/python -m pip install)
FAST := -m 'not slow and not fetch'
PARALLEL := --numprocesses $(WORKERS) --dist worksteal

.PHONY: demo quick browser check test tests test-fetch test-gpu coverage mutants docs docs-serve figures static \
	bench peers suites rates anytime decisions defenses
.DEFAULT_GOAL := check

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(INSTALL) --quiet --editable '.[all,dev]'
	@touch $@

demo: .venv/.ready
	$(BIN)/minnorm demo

quick: .venv/.ready
	@tests="$(T)"; \
	[ -n "$$tests" ] || tests=$$($(BIN)/python tests/changed.py) || exit 1; \
	if [ -z "$$tests" ]; then echo "Git says that nothing changed: name tests with T=..."; \
	else set -x; $(PYTEST) $(FAST) -p no:xdist --exitfirst $$tests; fi

static: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

browser: .venv/.ready
	@$(BIN)/python tests/report/browser.py

check: static
	$(PYTEST) $(PARALLEL) $(FAST)

test: static browser
	$(PYTEST) $(PARALLEL) -m 'not fetch'

# The tests of `make test` without the rest, for versions of the tools that format and lint otherwise.
tests: .venv/.ready browser
	$(PYTEST) $(PARALLEL) -m 'not fetch'

test-fetch: .venv/.ready
	$(PYTEST) -m fetch

test-gpu: .venv/.ready
	MINNORM_TEST_GPU=1 $(PYTEST) tests/test_cuda.py

coverage: .venv/.ready
	$(PYTEST) $(PARALLEL) $(FAST) --cov --cov-report=term --cov-report=html $(T)

mutants: .venv/.ready
	$(BIN)/python tests/mutants.py $(M)

# The variable silences an announcement of Material for MkDocs.
docs: .venv/.ready
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-serve: .venv/.ready
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr localhost:8000

figures: .venv/.ready
	$(BIN)/python benchmarks/cost_figure.py

# adv-lib imports visdom, which is not needed here: an empty module replaces it.
benchmarks/.venv/.ready: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/python -m pip install --quiet --editable '.[report,training]' -r benchmarks/requirements.txt
	benchmarks/.venv/bin/python -m pip install --quiet --no-deps adv-lib==0.2.8
	@touch $@

bench: benchmarks/.venv/.ready
	benchmarks/.venv/bin/minnorm data fetch mnist
	benchmarks/.venv/bin/minnorm data fetch cifar10
	benchmarks/.venv/bin/python benchmarks/speed.py --json benchmarks/results/speed.json

peers: benchmarks/.venv/.ready
	benchmarks/.venv/bin/python benchmarks/peers.py --data 'mnist-sample[:100]' \
		--json benchmarks/results/peers-mnist.json
	benchmarks/.venv/bin/python benchmarks/peers.py --network zoo:cifar10-cnn \
		--data 'cifar10[:25]' --radius-l2 0.15 --radius-linf 0.01 --step-size 0.01 \
		--json benchmarks/results/peers-cifar10.json

suites: benchmarks/.venv/.ready
	benchmarks/.venv/bin/minnorm data fetch mnist
	benchmarks/.venv/bin/minnorm data fetch cifar10
	benchmarks/.venv/bin/python benchmarks/square.py --json benchmarks/results/square.json
	benchmarks/.venv/bin/python benchmarks/autoattack.py --json benchmarks/results/autoattack.json

rates: benchmarks/.venv/.ready
	benchmarks/.venv/bin/python benchmarks/gate_rates.py --json benchmarks/results/gate-rates.json

# Finished runs in runs/anytime are kept.
anytime: benchmarks/.venv/.ready
	benchmarks/.venv/bin/python benchmarks/anytime.py --json benchmarks/results/anytime.json
	benchmarks/.venv/bin/python benchmarks/ablation.py --json benchmarks/results/ablation.json \
		--networks mnist-cnn mnist-cnn-ddn cifar10-cnn cifar10-cnn-madry-l2

# Finished images in runs/decisions are kept.
decisions: benchmarks/.venv/.ready
	benchmarks/.venv/bin/minnorm data fetch mnist
	benchmarks/.venv/bin/minnorm data fetch cifar10
	benchmarks/.venv/bin/python benchmarks/decisions.py --json benchmarks/results/decisions.json
	benchmarks/.venv/bin/python benchmarks/decisions_ablation.py \
		--networks mnist-cnn cifar10-cnn cifar10-cnn-ddn \
		--json benchmarks/results/decisions-ablation.json

# Finished records in benchmarks/results/defenses are kept.
defenses: benchmarks/.venv/.ready
	benchmarks/.venv/bin/minnorm data fetch mnist
	benchmarks/.venv/bin/minnorm data fetch cifar10
	benchmarks/.venv/bin/python benchmarks/defenses.py --json benchmarks/results/defenses-mnist.json
	benchmarks/.venv/bin/python benchmarks/defenses.py --data cifar10 \
		--json benchmarks/results/defenses-cifar10.json
	benchmarks/.venv/bin/python benchmarks/cheaper_training.py \
		--json benchmarks/results/cheaper-training.json
