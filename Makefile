# The commands of the project. Each of them sets up .venv first, if it is not there.
#
#   make demo    attack the shipped network on the shipped images, beside the paper's figures
#   make check   format, lint, types, fast tests: before each commit
#   make test    all checks and all tests: what CI runs
#   make test-gpu   the tests that need a GPU, where there is one
#   make bench   speed: beside other libraries, over bare gradients, memory, ranks
#   make peers   the attacks side by side with those of other libraries
#   make defenses   how robust the trained networks are, and what training costs
#   make docs    the pages that are written from the code

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo check test test-gpu bench peers anytime defenses docs static
.DEFAULT_GOAL := check

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[all,dev]'
	@touch $@

demo: .venv/.ready
	$(BIN)/minnorm demo

static: .venv/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: static
	$(BIN)/python -m pytest -m 'not slow'

test: static
	$(BIN)/python -m pytest

test-gpu: .venv/.ready
	MINNORM_TEST_GPU=1 $(BIN)/python -m pytest tests/test_cuda.py

# adv-lib asks for visdom, which is not needed here: an empty module stands in for it.
benchmarks/.venv/.ready: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/python -m pip install --quiet --editable '.[lbfgs,training]' -r benchmarks/requirements.txt
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

# Six hours and more; what is there in runs/anytime is not computed again.
anytime: benchmarks/.venv/.ready
	benchmarks/.venv/bin/python benchmarks/anytime.py --json benchmarks/results/anytime.json
	benchmarks/.venv/bin/python benchmarks/ablation.py --json benchmarks/results/ablation.json \
		--networks mnist-cnn mnist-cnn-ddn cifar10-cnn cifar10-cnn-madry-l2

# Records that are in benchmarks/results/defenses are not computed again; without them it takes days.
defenses: benchmarks/.venv/.ready
	benchmarks/.venv/bin/minnorm data fetch mnist
	benchmarks/.venv/bin/minnorm data fetch cifar10
	benchmarks/.venv/bin/python benchmarks/defenses.py --json benchmarks/results/defenses-mnist.json
	benchmarks/.venv/bin/python benchmarks/defenses.py --data cifar10 \
		--json benchmarks/results/defenses-cifar10.json
	benchmarks/.venv/bin/python benchmarks/cheaper_training.py \
		--json benchmarks/results/cheaper-training.json

docs: .venv/.ready
	$(BIN)/python docs/generate.py
