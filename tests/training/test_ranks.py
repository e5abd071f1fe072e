"""Two processes train as one does."""

import atexit
import functools
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import yaml
from safetensors.torch import load_file
from torch import Tensor, nn

from minnorm.training import load_recipe, train
from training.small_runs import digits_file, on_full_disk
from two_ranks import on_two_ranks

pytestmark = pytest.mark.slow


def network() -> nn.Module:
    """Return a network without batch statistics and dropout, which differ between ranks."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))


def network_with_batch_norms() -> nn.Module:
    """Return a network with batch statistics, which differ between ranks."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.BatchNorm1d(32), nn.Linear(32, 10))


@functools.cache
def look_at_the_end() -> None:
    """Make this process fail if it exits with an open process group.

    What is registered first runs last: this is called before the ranks are connected.
    """
    atexit.register(lambda: os._exit(77) if dist.is_initialized() else None)


def network_that_looks_at_the_end() -> nn.Module:
    """Return the network, and make this process fail if it exits with an open process group."""
    look_at_the_end()
    return network()


def network_on_a_full_disk() -> nn.Module:
    """Return the network, and make the second checkpoint of this process fail."""
    torch.save = on_full_disk(torch.save, {2})
    return network()


class WithUnused(nn.Module):
    """Has a parameter that takes no part in the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = network(), nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.used(inputs)
        return logits


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_file(tmp_path_factory.mktemp("digits"), 256)


def recipe(digits: Path, folder: Path, **changes: Any) -> Path:
    content = {
        "name": "tiny",
        "architecture": "training.test_ranks:network",
        "data": f"{digits}[:192]",
        "validation": f"{digits}[192:224]",
        "test": f"{digits}[224:]",
        "epochs": 2,
        "batch_size": 48,
        "optimizer": {"learning_rate": 0.05},
        **changes,
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def training(path: Path, out: Path, *options: str) -> list[str]:
    return ["train", str(path), "--out", str(out), "--trust", *options]


def two_ranks(path: Path, out: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return on_two_ranks("minnorm", *training(path, out, *options))


def log(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def assert_same_training(one: Path, two: Path) -> None:
    for line, other in zip(log(one), log(two), strict=True):
        for name in set(line) - {"seconds"}:
            assert other[name] == pytest.approx(line[name], rel=1e-4), name
    weights, others = (load_file(out / "tiny.safetensors") for out in (one, two))
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=1e-3, atol=1e-3)


SAME: dict[str, dict[str, Any]] = {
    # First: `look_at_the_end` must run before the ranks are connected.
    "trades": {
        "objective": "trades(epsilon=0.1, steps=2)",
        "architecture": "training.test_ranks:network_that_looks_at_the_end",
    },
    "madry": {"objective": "madry(epsilon=0.5, steps=3)"},
    "ddn": {"objective": "ddn(max_norm=0.5, steps=5)", "largest_gradient": 0.5},
    "warm": {"objective": "ddn(max_norm=0.5, steps=2, warm_start=True)", "epochs": 4},
    "ensemble": {
        "objective": "ensemble(models=['zoo:mnist-cnn'], epsilon=0.1)",
        "ema": 0.9,
        "robust_validation": {"attack": "ddn(steps=5)", "epsilon": 0.3},
    },
}
"""Recipes whose losses do not depend on the number of ranks, by name."""

_BATCH_NORMS: dict[str, Any] = {
    "architecture": "training.test_ranks:network_with_batch_norms",
    "epochs": 30,
}

BATCH_NORMS = {"last": _BATCH_NORMS, "average": {**_BATCH_NORMS, "ema": 0.9}}


@pytest.fixture(scope="module")
def trained(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with folders of recipes, each trained by two ranks."""
    parent = tmp_path_factory.mktemp("trained")
    commands = []
    for name, changes in {**SAME, **BATCH_NORMS, "plain": {}}.items():
        (parent / name).mkdir()
        path = recipe(digits, parent / name, **changes)
        commands.append(json.dumps(training(path, parent / name / "two")))
    done = on_two_ranks("several_commands", *commands)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("network:") == len(commands)  # the first rank alone prints
    return parent


@pytest.mark.parametrize("name", SAME)
def test_two_ranks_have_the_losses_of_one(trained: Path, tmp_path: Path, name: str) -> None:
    train(load_recipe(trained / name / "tiny.yaml", trust=True), tmp_path / "one")
    assert_same_training(tmp_path / "one", trained / name / "two")


def test_a_checkpoint_that_is_not_written_stops_no_rank(digits: Path, tmp_path: Path) -> None:
    path = recipe(digits, tmp_path)
    train(load_recipe(path, trust=True), tmp_path / "one")
    architecture = "training.test_ranks:network_on_a_full_disk"
    path = recipe(digits, tmp_path, architecture=architecture)
    done = two_ranks(path, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert "no checkpoint was written" in done.stderr
    assert_same_training(tmp_path / "one", tmp_path / "two")


def test_an_unused_parameter_is_named(digits: Path, tmp_path: Path) -> None:
    path = recipe(digits, tmp_path, architecture="training.test_ranks:WithUnused")
    done = two_ranks(path, tmp_path / "two")
    assert done.returncode != 0
    assert "the parameters unused.weight, unused.bias take no part in the loss" in done.stderr


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_ranks_agree_on_the_best_epoch_of_a_network_with_batch_norms(
    trained: Path, name: str
) -> None:
    out = trained / name / "two"
    card = json.loads((out / "tiny.json").read_text())
    best = max(line["validation_accuracy"] for line in log(out))
    assert card["accuracy"][card["recipe"]["validation"]] == best


def test_two_ranks_continue_a_run_only_with_resume(trained: Path, tmp_path: Path) -> None:
    path, undisturbed = trained / "plain" / "tiny.yaml", trained / "plain" / "two"
    shutil.copytree(undisturbed, tmp_path / "run")
    (tmp_path / "run" / "last.ckpt").unlink()  # the one before it is of the first epoch
    refused = two_ranks(path, tmp_path / "run")
    assert refused.returncode != 0
    assert refused.stderr.count("continue it with --resume") == 1  # the first rank alone prints
    done = two_ranks(path, tmp_path / "run", "--resume")
    assert done.returncode == 0, done.stderr
    name = "tiny.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (undisturbed / name).read_bytes()
    losses = [[line["loss"] for line in log(run)] for run in (tmp_path / "run", undisturbed)]
    assert losses[0] == losses[1]
