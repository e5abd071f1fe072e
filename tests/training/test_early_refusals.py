"""Mistakes that are found before Lightning Fabric is imported, which takes seconds."""

import shutil
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from minnorm.errors import InputError, MissingLibraryError
from minnorm.models import Card
from minnorm.training import train
from training.small_runs import files_in, recipe_of


@pytest.fixture(autouse=True)
def _unusable_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an import of Fabric fail, though the library is installed."""
    module = ModuleType("lightning_fabric")
    module.__spec__ = ModuleSpec("lightning_fabric", None)
    monkeypatch.setitem(sys.modules, "lightning_fabric", module)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"architecture": "mnist_cmn"}, {}, "unknown architecture 'mnist_cmn'. Did you mean"),
        ({"architecture": "somewhere:network"}, {}, "there is no module 'somewhere'"),
        ({"architecture": "mnist_cnn(width=3)"}, {}, "width"),
        ({"data": "gone.npz"}, {}, "there is no file gone.npz"),
        ({"validation": "gone.npz"}, {}, "there is no file gone.npz"),
        ({"test": "mnits"}, {}, "unknown data set 'mnits'"),
        ({"initial": "gone.safetensors"}, {}, "there is no file gone.safetensors"),
        ({"initial": "zoo:mnist-cn"}, {}, "Did you mean 'mnist-cnn'?"),
        ({"batch_size": 500}, {}, "batch_size=500 does not fit"),
        ({"precision": "16-mixed"}, {"device": "cpu"}, "16-mixed needs a GPU"),
        ({}, {"device": "gpu"}, "cannot use the device 'gpu'"),
        ({}, {"workers": -1}, "workers=-1: expected a whole number of at least 0"),
        ({}, {"workers": 1.5}, "workers=1.5: expected a whole number"),
    ],
)
def test_a_mistake_is_found_early(
    digits: Path, tmp_path: Path, changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        train(recipe_of(digits, **changes), tmp_path / "run", **options)
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_refused_early(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    before = files_in(folder)
    with pytest.raises(InputError, match="continue it with --resume in the shell, resume=True"):
        train(recipe_of(digits), folder)
    with pytest.raises(InputError, match="holds a run of another recipe"):
        train(recipe_of(digits, seed=5), folder, resume=True)
    assert files_in(folder) == before


def test_without_the_library_the_extra_is_named_first(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    for changes in ({}, {"data": "gone.npz"}):
        with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[training\]'"):
            train(recipe_of(digits, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_left_over_variables_of_torchrun_are_refused_early(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="WORLD_SIZE=4 is set in the environment, but not RANK"):
        train(recipe_of(digits), tmp_path / "run")
