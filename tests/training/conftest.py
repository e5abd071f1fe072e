"""What the tests of training begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from minnorm.models import Card
from minnorm.training import train
from training.small_runs import digits_file, recipe_of


@pytest.fixture(autouse=True)
def _same_generator_afterwards() -> Iterator[None]:
    """Training seeds the global generators; the other tests should not see it."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives a file of 512 images of digits."""
    return digits_file(tmp_path_factory.mktemp("digits"), 512)


@pytest.fixture(scope="session")
def undisturbed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Card]:
    """Gives the folder and the card of a run of three epochs that nothing stopped."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    return folder, train(recipe_of(digits), folder)
