"""Fixtures of the tests of training."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric

from minnorm.models import Card
from minnorm.training import train
from training.small_runs import digits_file, recipe_of


@pytest.fixture(autouse=True)
def _same_generator_afterwards() -> Iterator[None]:
    """Restore the global generator, which training seeds."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of 512 images of digits."""
    return digits_file(tmp_path_factory.mktemp("digits"), 512)


@pytest.fixture(scope="session")
def undisturbed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Card]:
    """Return the folder and the card of an uninterrupted run of three epochs."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    return folder, train(recipe_of(digits), folder)


@pytest.fixture(scope="session")
def fabric() -> Fabric:
    """Return Lightning Fabric for one rank on the CPU."""
    return Fabric(accelerator="cpu", devices=1)
