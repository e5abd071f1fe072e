"""What cannot be trained is told before, and costs nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm.data import load_data
from minnorm.models import load_model
from minnorm.training import accuracy, load_recipe, train
from training.small_runs import files_in, recipe_of


def test_a_batch_that_is_larger_than_the_data_is_refused(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"batch_size=385 does not fit: expected at most 384, the samples of digits.npz",
    ):
        train(recipe_of(digits, batch_size=385), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run(digits: Path, tmp_path: Path) -> None:
    recipe = recipe_of(digits, optimizer={"learning_rate": 1e12}, epochs=1)
    with pytest.raises(
        ValueError, match=r"the loss became (nan|inf) in epoch 1: lower the learning"
    ):
        train(recipe, tmp_path)
    assert not (tmp_path / "tiny.safetensors").exists()


def test_gradients_that_are_not_finite_are_told_by_the_loss(digits: Path, tmp_path: Path) -> None:
    recipe = recipe_of(
        digits, optimizer={"learning_rate": 1e20}, epochs=1, largest_gradient=1.0, schedule={}
    )
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) in epoch 1"):
        train(recipe, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augmentation": ["ToPILImage"]}, r"augmentation: ToPILImage (raised|gives)"),
        ({"augmentation": ["CutMix(num_classes=10)"]}, r"augmentation: CutMix.* raised"),
        ({"augmentation": ["RandomCrop(size=40)"]}, r"augmentation: RandomCrop.* raised"),
        ({"augmentation": ["Resize(size=14)"]}, r"cannot take inputs of shape \[2, 1, 14, 14\]"),
        ({"augmentation": ["Normalize(mean=[0.5], std=[0.5])"]}, r"gives images from -1 to 1"),
        ({"augmentation": ["RandomZoomOut(p=0.1)"]}, r"RandomZoomOut\(p=0.1\) raised RuntimeError"),
        ({"architecture": f"{__name__}:with_a_counter"}, "more than tensors.*: _extra_state"),
        ({"precision": "16-mixed"}, "16-mixed needs a GPU"),
        ({"architecture": f"{__name__}:without_parameters"}, "no parameters to train"),
        (
            {"objective": {1: "clean", 3: "ensemble(models=['zoo:cifar10-cnn'], epsilon=0.1)"}},
            "network 1 of the objective of epoch 3: the network cannot take inputs of shape",
        ),
        (
            {"objective": f"ensemble(models=['{__name__}:of_two_classes'], epsilon=0.1)"},
            r"network 1 of the objective of epoch 1 gives logits of shape \[2, 2\]",
        ),
    ],
)
def test_what_cannot_be_trained_with_leaves_no_folder(
    digits: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train(recipe_of(digits, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def in_words(model: nn.Module, inputs: Tensor, labels: Tensor) -> object:
    return f"{len(inputs)} inputs, {len(labels)} labels of {model}"


def of_each_sample(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(model(inputs), labels, reduction="none")


def detached(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(model(inputs), labels).detach()


def failing(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    raise KeyError(f"no weight for {len(labels)} of {model(inputs).shape}")


def objective_that_is(name: str) -> object:
    return globals()[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("in_words", "the objective gave a str; expected a scalar tensor"),
        ("of_each_sample", r"the objective gave torch.float32 of shape \[32\]; expected a scalar"),
        ("detached", "without a gradient"),
        ("failing", r"objective: .*\(name='failing'\) raised KeyError: 'no weight for 32"),
    ],
)
def test_what_an_objective_of_ones_own_does_wrong_is_told(
    digits: Path, tmp_path: Path, name: str, message: str
) -> None:
    objective = f"test_training_intake:objective_that_is(name={name!r})"
    with pytest.raises(ValueError, match=message):
        train(recipe_of(digits, objective=objective), tmp_path)


def test_a_folder_that_cannot_be_the_runs_is_named(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file is a file: --out names the folder of the run"):
        train(recipe_of(digits), tmp_path / "file")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match=r"recipe.json is damaged, or no recipe of this version"):
        train(recipe_of(digits), tmp_path / "run")


def test_a_network_of_another_architecture_cannot_be_begun_with(
    digits: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="initial: 'zoo:mnist-cnn' is no network of the archi"):
        train(recipe_of(digits, initial="zoo:mnist-cnn"), tmp_path)


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


def test_an_attack_that_cannot_attack_the_network_is_refused(tmp_path: Path) -> None:
    images = np.full((512, 1, 28, 28), 0.5, np.float32)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(512) % 2)
    recipe = recipe_of(
        tmp_path,
        **dict.fromkeys(("data", "validation", "test"), f"{tmp_path}/data.npz"),
        architecture=f"{__name__}:of_two_classes",
        robust_validation={"attack": "apgd(epsilon=1.0, loss='dlr')", "epsilon": 1.0},
    )
    with pytest.raises(ValueError, match=r"robust_validation: ValueError: .*classes"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_and_pixels_are_looked_at_all_over_the_data(tmp_path: Path) -> None:
    images, labels = np.full((1024, 1, 28, 28), 0.5, np.float32), np.arange(1024) // 100
    parts = dict.fromkeys(("data", "validation", "test"), f"{tmp_path}/data.npz")
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    with pytest.raises(ValueError, match=r"data.npz: .*label"):
        train(recipe_of(tmp_path, **parts), tmp_path / "run")  # of ten classes
    images[700:] = 3
    np.savez(tmp_path / "data.npz", images=images, labels=labels % 10)
    with pytest.raises(ValueError, match=r"data.npz goes from 0.5 to 3"):
        train(recipe_of(tmp_path, **parts), tmp_path / "run")


class Exhausting(nn.Module):
    """A network whose gradient fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)
        self.error = error

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.layer(inputs.flatten(1))
        if logits.requires_grad:
            logits.register_hook(self._fail)  # type: ignore[no-untyped-call]
        return logits

    def _fail(self, _: Tensor) -> None:
        raise self.error


def exhausting(kind: str) -> nn.Module:
    kinds = {"memory": torch.OutOfMemoryError("CUDA out of memory"), "other": RuntimeError("odd")}
    return Exhausting(kinds[kind])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("memory", r"memory does not suffice for batch_size=32 \(epoch 1.*lower it"),
        ("other", "epoch 1 failed: RuntimeError: odd"),
    ],
)
def test_what_fails_on_the_device_is_told_in_a_sentence(
    digits: Path, tmp_path: Path, kind: str, message: str
) -> None:
    recipe = recipe_of(digits, architecture=f"{__name__}:exhausting(kind={kind!r})")
    with pytest.raises(ValueError, match=message):
        train(recipe, tmp_path)


@pytest.mark.parametrize("value", [-0.5, 2.0, float("nan")])
def test_data_that_is_not_in_the_unit_box_is_refused(tmp_path: Path, value: float) -> None:
    images = np.full((64, 1, 28, 28), 0.5, np.float32)
    images[3, 0, 5, 5] = value
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(64) % 10)
    parts = dict.fromkeys(("data", "validation", "test"), f"{tmp_path}/data.npz")
    with pytest.raises(
        ValueError, match=r"data.npz goes from .* to .*; training takes inputs in 0"
    ):
        train(recipe_of(tmp_path, **parts), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_ended_at_once_leaves_the_folder_free(digits: Path, tmp_path: Path) -> None:
    objective = "test_training_intake:objective_that_is(name='failing')"
    for _ in range(2):
        with pytest.raises(ValueError, match=r"objective: .*failing.* raised KeyError"):
            train(recipe_of(digits, objective=objective), tmp_path)
    recipe = recipe_of(digits, epochs=1)
    train(recipe, tmp_path)
    assert load_recipe(tmp_path / "recipe.json") == recipe


@pytest.mark.parametrize(
    "name", ["tiny.safetensors", "tiny-last.safetensors", "tiny.json", "log.jsonl"]
)
def test_files_that_are_not_of_a_run_are_not_written_over(
    digits: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=f"holds {name}, but no recipe.json"):
        train(recipe_of(digits), tmp_path)
    assert files_in(tmp_path) == {tmp_path / name: b"mine"}


def tied() -> nn.Module:
    """Gives a network two of whose layers have the same weights."""
    first, second = nn.Linear(784, 784), nn.Linear(784, 784)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), nn.Linear(784, 10))


def of_videos() -> nn.Module:
    """Gives a network whose convolutions know no channels-last layout of images."""
    volume = nn.Unflatten(1, (1, 1))
    return nn.Sequential(volume, nn.Conv3d(1, 4, (1, 5, 5), 4), nn.Flatten(), nn.Linear(144, 10))


@pytest.mark.parametrize("architecture", ["tied", "of_videos"])
def test_networks_of_many_kinds_are_trained(
    digits: Path, tmp_path: Path, architecture: str
) -> None:
    spec = f"{__name__}:{architecture}"
    card = train(recipe_of(digits, architecture=spec, epochs=1), tmp_path)
    network = load_model(f"{tmp_path}/tiny.safetensors + {spec}")
    assert card.accuracy[f"{digits}[448:]"] == accuracy(network, load_data(f"{digits}[448:]"))
