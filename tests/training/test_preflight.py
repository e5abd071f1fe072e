"""The pre-flight check: it loads what a recipe names, and refuses what cannot be trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from minnorm.data import load_data
from minnorm.errors import InputError, RunConflictError
from minnorm.models import build, fingerprint, load_model, save_weights
from minnorm.training import Adversarial, Recipe, train
from minnorm.training.checkpoints import Checkpoint
from minnorm.training.preflight import Preflight, continued_fingerprints, preflight
from training.small_runs import NETWORK, recipe_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning_fabric")


def check(recipe: Recipe, *, ranks: int = 1, resumes: bool = False) -> Preflight:
    return preflight(recipe, ranks=ranks, resumes=resumes, trust=False)


def a_checkpoint(folder: Path, fingerprints: dict[str, str]) -> Checkpoint:
    return Checkpoint(folder / "last.ckpt", {"fingerprints": fingerprints}, [])


class WithACounter(nn.Sequential):
    """A network that keeps a number beside its weights."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(784, 10))

    def get_extra_state(self) -> dict[str, int]:
        return {"count": 3}

    def set_extra_state(self, state: dict[str, int]) -> None:
        assert state["count"] == 3


def with_a_counter() -> nn.Module:
    return WithACounter()


def without_parameters() -> nn.Module:
    return nn.Flatten()


def of_two_classes() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 2))


def test_it_returns_what_the_recipe_names(digits: Path) -> None:
    objectives = {3: "madry(epsilon=0.5)", 1: "clean"}
    recipe = recipe_of(digits, objective=objectives, seed=5)
    torch.rand(3)  # what the caller drew does not matter
    checked = check(recipe)
    torch.manual_seed(5)
    assert fingerprint(checked.network) == fingerprint(build(NETWORK))
    assert checked.network.training
    assert list(checked.objectives) == [1, 3]
    assert isinstance(checked.objectives[3], Adversarial)
    parts = {
        recipe.data: checked.training,
        recipe.validation: checked.validation,
        recipe.test: checked.test,
    }
    assert checked.fingerprints == {spec: load_data(spec).fingerprint for spec in parts}
    assert {spec: data.fingerprint for spec, data in parts.items()} == checked.fingerprints


def test_it_starts_from_the_initial_network(digits: Path, tmp_path: Path) -> None:
    weights = tmp_path / "x.safetensors"
    save_weights(build(NETWORK), NETWORK, weights)
    spec = f"{weights} + {NETWORK}"
    checked = check(recipe_of(digits, initial=spec))
    assert fingerprint(checked.network) == fingerprint(load_model(spec))
    assert checked.fingerprints[spec] == fingerprint(load_model(spec))


def test_a_continued_run_does_not_need_the_initial_network(digits: Path, tmp_path: Path) -> None:
    recipe = recipe_of(digits, initial=f"{tmp_path}/gone.safetensors + {NETWORK}")
    with pytest.raises(FileNotFoundError):
        check(recipe)
    found = check(recipe, resumes=True).fingerprints
    assert found == {
        spec: load_data(spec).fingerprint for spec in (recipe.data, recipe.validation, recipe.test)
    }
    earlier = {**found, str(recipe.initial): "abc"}
    assert continued_fingerprints(a_checkpoint(tmp_path, earlier), found) == earlier


def test_fixed_networks_have_a_fingerprint(digits: Path) -> None:
    spec = "ensemble(models=['zoo:mnist-cnn'], epsilon=0.1)"
    checked = check(recipe_of(digits, objective={1: "clean", 2: spec}))
    name = "network 1 of the objective of epoch 2"
    assert checked.fingerprints[name] == fingerprint(load_model("zoo:mnist-cnn"))


def test_data_that_changed_are_refused(digits: Path, tmp_path: Path) -> None:
    recipe = recipe_of(digits)
    known = check(recipe).fingerprints
    for wrong in ({recipe.test: "other"}, {recipe.data: ""}):
        with pytest.raises(RunConflictError, match=r"digits.npz.* changed since the run in .* st"):
            continued_fingerprints(a_checkpoint(tmp_path, {**known, **wrong}), known)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 385}, r"batch_size=385 does not fit: expected at most 384, the samples of"),
        ({"augmentation": ["ToPILImage"]}, r"augmentation: ToPILImage (raised|does not return)"),
        ({"augmentation": ["CutMix(num_classes=10)"]}, r"augmentation: CutMix.* raised"),
        ({"augmentation": ["RandomCrop(size=40)"]}, r"augmentation: RandomCrop.* raised"),
        (
            {"augmentation": ["Resize(size=14)"]},
            r"cannot take inputs of shape \[2, 1, 14, 14\] from digits.* after Resize\(size=14\)",
        ),
        ({"augmentation": ["Normalize(mean=[0.5], std=[0.5])"]}, r"returns images from -1 to 1"),
        ({"augmentation": ["RandomZoomOut(p=0.1)"]}, r"RandomZoomOut\(p=0.1\) raised RuntimeError"),
        ({"architecture": f"{__name__}:with_a_counter"}, "_extra_state"),
        ({"architecture": f"{__name__}:without_parameters"}, "no parameters to train"),
        ({"architecture": "cifar10_cnn"}, "the network cannot take inputs of shape"),
        ({"architecture": f"{__name__}:of_two_classes"}, r"digits.npz.*: .*label"),
        (
            {"initial": "zoo:mnist-cnn"},
            f"initial: 'zoo:mnist-cnn' .* 'mnist_cnn', which does not fit .* '{NETWORK}': set",
        ),
        (
            {"objective": {1: "clean", 3: "ensemble(models=['zoo:cifar10-cnn'], epsilon=0.1)"}},
            "network 1 of the objective of epoch 3: the network cannot take inputs of shape",
        ),
        (
            {"objective": f"ensemble(models=['{__name__}:of_two_classes'], epsilon=0.1)"},
            r"network 1 of the objective of epoch 1 returns logits of shape \[2, 2\]; expected \[2",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(
    digits: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check(recipe_of(digits, **changes))


def test_the_ranks_share_a_batch_equally(digits: Path) -> None:
    with pytest.raises(InputError, match="multiple of the number of ranks, 3"):
        check(recipe_of(digits, batch_size=32), ranks=3)


def test_a_training_that_is_refused_leaves_no_folder(digits: Path, tmp_path: Path) -> None:
    for changes in ({"batch_size": 385}, {"precision": "16-mixed"}):
        with pytest.raises(InputError, match=r"batch_size=385|needs a GPU"):
            train(recipe_of(digits, **changes), tmp_path / "run", resume=True)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("first", [1, 1000])
def test_labels_and_pixels_are_checked_all_over_the_data(tmp_path: Path, first: int) -> None:
    images, labels = np.full((1024, 1, 28, 28), 0.5, np.float32), np.arange(1024) // 110
    parts = dict.fromkeys(("data", "validation", "test"), f"{tmp_path}/data.npz")
    recipe = recipe_of(tmp_path, **parts)
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    check(recipe)
    wrong = np.where(np.arange(1024) < first, 0, 10)
    np.savez(tmp_path / "data.npz", images=images, labels=wrong)
    with pytest.raises(InputError, match=r"data.npz: .*label"):
        check(recipe)
    images[first:] = 3
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    with pytest.raises(InputError, match=r"data.npz has values from 0.5 to 3"):
        check(recipe)


@pytest.mark.parametrize("value", [-0.5, 2.0, float("nan")])
def test_data_outside_the_unit_box_are_refused(tmp_path: Path, value: float) -> None:
    images = np.full((64, 1, 28, 28), 0.5, np.float32)
    images[3, 0, 5, 5] = value
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(64) % 10)
    parts = dict.fromkeys(("data", "validation", "test"), f"{tmp_path}/data.npz")
    with pytest.raises(
        InputError, match=r"data.npz has values from .* to .*; training takes inputs in 0"
    ):
        check(recipe_of(tmp_path, **parts))


@pytest.mark.parametrize("part", ["data", "validation", "test"])
def test_each_part_of_the_data_is_checked(digits: Path, tmp_path: Path, part: str) -> None:
    images = np.full((64, 1, 28, 28), 2, np.float32)
    np.savez(tmp_path / "bad.npz", images=images, labels=np.arange(64) % 10)
    with pytest.raises(InputError, match=r"bad.npz has values from 2 to 2"):
        check(recipe_of(digits, **{part: f"{tmp_path}/bad.npz"}))


def test_data_with_more_classes_than_the_network_are_refused(digits: Path) -> None:
    spec = f"{__name__}:of_a_hundred_classes"
    with pytest.raises(InputError, match="has 100 classes, but the network has only 10"):
        check(recipe_of(digits, test=spec))


class OfAHundredClasses:
    """A data set that names more classes than its labels show."""

    classes = tuple(map(str, range(100)))

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((1, 28, 28), 0.5), index % 10


def of_a_hundred_classes() -> OfAHundredClasses:
    return OfAHundredClasses()


def test_an_attack_that_cannot_attack_the_network_is_refused(tmp_path: Path) -> None:
    images = np.full((512, 1, 28, 28), 0.5, np.float32)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(512) % 2)
    recipe = recipe_of(
        tmp_path,
        **dict.fromkeys(("data", "validation", "test"), f"{tmp_path}/data.npz"),
        architecture=f"{__name__}:of_two_classes",
        robust_validation={"attack": "apgd(epsilon=1.0, loss='dlr')", "epsilon": 1.0},
    )
    with pytest.raises(InputError, match=r"robust_validation: .*classes"):
        check(recipe)
