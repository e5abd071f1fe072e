"""A run that is killed, at any moment, ends as an uninterrupted one when it is resumed."""

import signal
from pathlib import Path

import numpy as np
import pytest

from minnorm.models import Card
from minnorm.training import Recipe, train
from training.killed_runs import exit_code, killed_at_any_time, killed_before_file_operation
from training.small_runs import assert_same_run, log_of, recipe_of

pytestmark = pytest.mark.slow


def long_recipe(digits: Path) -> Recipe:
    return recipe_of(digits, epochs=16, ema=0.9, schedule={"name": "cosine", "warmup": 1.5})


@pytest.fixture(scope="module")
def long_run(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Card]:
    """Return the folder and the card of an uninterrupted run of many epochs."""
    folder = tmp_path_factory.mktemp("long") / "run"
    return folder, train(long_recipe(digits), folder)


# The files of an epoch are the best weights, the last weights, the checkpoint and the log. Each is
# written to a temporary file and renamed, the checkpoint three times.
@pytest.mark.parametrize("number", range(10))
def test_a_kill_before_any_file_operation_changes_nothing(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path, number: int
) -> None:
    recipe, folder = recipe_of(digits), tmp_path / "run"
    code = exit_code(killed_before_file_operation, recipe, folder, number)
    assert code == -signal.SIGKILL
    assert 1 <= len(log_of(folder)) < 3
    assert_same_run(folder, train(recipe, folder, resume=True), undisturbed)
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize("seed", range(4))
def test_kills_at_any_time_change_nothing(
    long_run: tuple[Path, Card], digits: Path, tmp_path: Path, seed: int
) -> None:
    recipe, folder = long_recipe(digits), tmp_path / "run"
    for epochs in np.random.default_rng(seed).uniform(0, 2, size=2):
        assert exit_code(killed_at_any_time, recipe, folder, float(epochs)) == -signal.SIGPROF
    assert 2 <= len(log_of(folder)) < 16
    assert_same_run(folder, train(recipe, folder, resume=True), long_run)
