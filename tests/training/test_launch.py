"""Lightning Fabric, set up as a recipe says."""

from pathlib import Path

import pytest
import torch

from minnorm.errors import InputError, MissingLibraryError
from minnorm.training.launch import launch_fabric
from training.small_runs import recipe_of

DIGITS = Path("digits.npz")


def test_fabric_has_the_precision_of_the_recipe() -> None:
    for precision, dtype in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)):
        fabric = launch_fabric(recipe_of(DIGITS, precision=precision))
        assert fabric.world_size == 1
        with fabric.autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.filterwarnings("ignore::UserWarning:lightning_fabric")
def test_float16_needs_a_gpu() -> None:
    with pytest.raises(InputError, match="16-mixed needs a GPU; use bf16-mixed"):
        launch_fabric(recipe_of(DIGITS, precision="16-mixed"))


def test_ranks_that_cannot_run_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "-1")
    with pytest.raises(InputError, match="-1 ranks cannot run on this machine: "):
        launch_fabric(recipe_of(DIGITS))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lightning_fabric", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[training\]'"):
        launch_fabric(recipe_of(DIGITS))
