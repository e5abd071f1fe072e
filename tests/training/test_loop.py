"""The training loop: it learns, and does what the recipe says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm.data import load_data
from minnorm.errors import InputError
from minnorm.files import file_sha256
from minnorm.models import Card, Normalized, load_model
from minnorm.training import (
    OBJECTIVES,
    Objective,
    RobustValidation,
    accuracy,
    robust_accuracy,
    train,
)
from training.small_runs import NETWORK, log_of, network, recipe_of


def test_training_learns(undisturbed: tuple[Path, Card]) -> None:
    folder, card = undisturbed
    losses = [line["loss"] for line in log_of(folder)]
    assert losses[-1] < 0.5 * losses[0]
    assert min(card.accuracy.values()) > 0.6


def test_the_log_has_a_line_for_each_epoch(undisturbed: tuple[Path, Card]) -> None:
    lines = log_of(undisturbed[0])
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["learning_rate"] for line in lines] == pytest.approx([0.05, 0.05, 0.005])
    for line in lines:
        assert line["seconds"] >= 0
        assert 0 <= line["validation_accuracy"] <= 1


def test_another_seed_gives_other_weights(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    train(recipe_of(digits, epochs=1, seed=1), tmp_path)
    assert log_of(tmp_path)[0]["loss"] != log_of(undisturbed[0])[0]["loss"]


def test_the_largest_seed_can_be_used(digits: Path, tmp_path: Path) -> None:
    train(recipe_of(digits, epochs=1, seed=2**32 - 1), tmp_path)
    assert len(log_of(tmp_path)) == 1


def test_the_averaged_weights_follow_the_formula(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Tensor]] = []
    step = torch.optim.SGD.step

    def watched(optimizer: torch.optim.SGD, *given: Any, **named: Any) -> Any:
        done = step(optimizer, *given, **named)
        (group,) = optimizer.param_groups
        seen.append([weight.detach().clone() for weight in group["params"]])
        return done

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    train(recipe_of(digits, epochs=1, ema=0.75), tmp_path)
    expected = seen[0]  # the first update sets it
    for weights in seen[1:]:
        expected = [0.75 * old + 0.25 * new for old, new in zip(expected, weights, strict=True)]
    network = load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    for weight, average in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.detach(), average)


def test_each_objective_starts_at_its_epoch(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []

    def numbered(*, number: int) -> Objective:
        def objective(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
            used.append(number)
            return cross_entropy(model(inputs), labels)

        return objective

    monkeypatch.setitem(OBJECTIVES, "numbered", numbered)
    objectives = {1: "numbered(number=1)", 3: "numbered(number=3)", 4: "numbered(number=4)"}
    gentle = {"learning_rate": 1e-9, "momentum": 0.0}
    recipe = recipe_of(digits, objective=objectives, epochs=5, optimizer=gentle, schedule={})
    train(recipe, tmp_path)
    assert used == [1] * 24 + [3] * 12 + [4] * 24


def test_weights_that_are_not_finite_do_not_replace_the_best(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    updates = 0

    def breaks() -> Objective:
        def objective(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
            nonlocal updates
            updates += 1
            loss = cross_entropy(model(inputs), labels)
            if updates == 24:  # the last one of the second epoch: the loss is finite
                loss = loss + (0 * next(model.parameters())).sum().sqrt()
            return loss

        return objective

    monkeypatch.setitem(OBJECTIVES, "breaks", breaks)
    recipe = recipe_of(digits, objective="breaks")
    with pytest.raises(
        InputError, match="the weights became infinite or NaN at the end of epoch 2"
    ):
        train(recipe, tmp_path)
    for name in ("tiny", "tiny-last"):
        weights = load_model(str(tmp_path / f"{name}.safetensors"), trust=True).state_dict()
        assert all(value.isfinite().all() for value in weights.values())
    assert train(recipe, tmp_path, resume=True).accuracy[recipe.test] > 0.5


def test_a_loss_that_ignores_the_network_is_refused(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = torch.zeros((), requires_grad=True)
    monkeypatch.setitem(OBJECTIVES, "other", lambda: lambda *_: other**2)
    with pytest.raises(InputError, match="objective: the loss of other does not depend on"):
        train(recipe_of(digits, objective="other"), tmp_path)


def test_the_best_epoch_is_one_of_the_last_objective(digits: Path, tmp_path: Path) -> None:
    # The last objective is so bad that the first epochs have the best accuracy.
    worse = "trades(epsilon=0.9, beta=1000.0, steps=1)"
    recipe = recipe_of(digits, objective={1: "clean", 4: worse}, epochs=5)
    card = train(recipe, tmp_path)
    reached = [line["validation_accuracy"] for line in log_of(tmp_path)]
    assert card.accuracy[recipe.validation] == max(reached[3:]) < max(reached[:3])


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.01}},
        {"largest_gradient": 0.5},
        {"ema": 0.9},
        {"objective": "clean(label_smoothing=0.1)"},
        {"schedule": {"name": "linear", "warmup": 0.5}},
    ],
)
def test_each_setting_changes_the_run_and_the_network_learns(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    recipe = recipe_of(digits, **changes)
    card = train(recipe, tmp_path)
    assert min(card.accuracy.values()) > 0.5
    load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    losses = [line["loss"] for line in log_of(tmp_path)]
    assert losses[-1] < losses[0]
    assert card.sha256 != undisturbed[1].sha256
    same_losses = losses == [line["loss"] for line in log_of(undisturbed[0])]
    assert same_losses == ("ema" in changes)  # averaging does not change the updates


@pytest.mark.slow  # compiling takes most of a minute
def test_a_compiled_network_learns(digits: Path, tmp_path: Path) -> None:
    card = train(recipe_of(digits, compile=True), tmp_path)
    assert min(card.accuracy.values()) > 0.5
    load_model(str(tmp_path / "tiny.safetensors"), trust=True)


def test_clipping_bounds_the_step(digits: Path, tmp_path: Path) -> None:
    plain = {"learning_rate": 0.05, "momentum": 0.0}
    recipe = recipe_of(digits, largest_gradient=1e-6, optimizer=plain, epochs=1)
    train(recipe, tmp_path)
    torch.manual_seed(recipe.seed)
    before = dict(network().named_parameters())
    after = load_model(str(tmp_path / "tiny.safetensors"), trust=True).named_parameters()
    moved = torch.cat([(value - before[name]).flatten() for name, value in after])
    assert 0 < moved.norm() <= 12 * 0.05 * 1e-6 * (1 + 1e-3)


def test_robust_validation_chooses_the_best_epoch(digits: Path, tmp_path: Path) -> None:
    validation = {"attack": "ddn(steps=20)", "epsilon": 0.5, "images": 64}
    train(recipe_of(digits, robust_validation=validation), tmp_path)
    lines = log_of(tmp_path)
    model = load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    data = load_data(f"{digits}[384:448]")
    best = robust_accuracy(model, data, RobustValidation.model_validate(validation))
    assert best == max(line["robust_accuracy"] for line in lines)
    assert all(line["robust_accuracy"] < line["validation_accuracy"] for line in lines)


def test_tensorboard_shows_what_the_log_says(digits: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(recipe_of(digits), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    shown = [event.value for event in events.Scalars("loss")]
    assert shown == pytest.approx([line["loss"] for line in log_of(tmp_path)])


def test_a_network_without_a_correct_prediction_is_kept(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((64, 1, 28, 28), np.float32)
    np.savez(tmp_path / "zeros.npz", images=images, labels=np.zeros(64, int))
    np.savez(tmp_path / "nines.npz", images=images, labels=np.full(64, 9))
    recipe = recipe_of(
        tmp_path,
        data=f"{tmp_path}/zeros.npz",
        validation=f"{tmp_path}/nines.npz[:32]",
        test=f"{tmp_path}/nines.npz[32:]",
        epochs=2,
    )
    card = train(recipe, tmp_path / "run")
    assert set(card.accuracy.values()) == {0}


def test_the_weights_stay_in_float32_in_mixed_precision(digits: Path, tmp_path: Path) -> None:
    recipe = recipe_of(digits, precision="bf16-mixed", architecture="mnist_cnn", epochs=1)
    card = train(recipe, tmp_path)
    model = load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert card.sha256 == file_sha256(tmp_path / "tiny.safetensors")


def test_a_network_is_loaded_with_its_normalization(digits: Path, tmp_path: Path) -> None:
    architecture = f"{NETWORK}(mean=[0.13], std=[0.31])"
    card = train(recipe_of(digits, architecture=architecture, epochs=1), tmp_path)
    model = load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    assert card.accuracy[f"{digits}[448:]"] == accuracy(model, load_data(f"{digits}[448:]"))
    assert isinstance(model, Normalized)
    assert model.mean.tolist() == pytest.approx([0.13])


def test_each_epoch_takes_full_batches_in_another_order(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[Tensor] = []

    def records(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        assert model.training
        batches.append(inputs.clone())
        return cross_entropy(model(inputs), labels)

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: records)
    train(recipe_of(digits, epochs=2, batch_size=100), tmp_path)
    assert [len(batch) for batch in batches] == [100] * 6  # 84 of 384 are left out
    epochs = [torch.cat(batches[:3]).flatten(1), torch.cat(batches[3:]).flatten(1)]
    known = {row.numpy().tobytes() for row in load_data(str(digits)).batch(range(384))[0]}
    for epoch in epochs:
        rows = {row.numpy().tobytes() for row in epoch}
        assert len(rows) == 300
        assert rows <= known
    assert not epochs[0].equal(epochs[1])


def test_a_run_can_start_from_a_trained_network(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder, card = undisturbed
    weights = f"{folder / 'tiny.safetensors'} + {NETWORK}"
    gentle = {"learning_rate": 1e-9, "momentum": 0.0}
    again = train(recipe_of(digits, initial=weights, optimizer=gentle, epochs=1), tmp_path)
    for name, reached in card.accuracy.items():
        assert again.accuracy[name] == pytest.approx(
            reached, abs=0.1
        )  # the statistics of the batch norm change


def test_augmentation_differs_in_each_epoch(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brightness: dict[bytes, set[float]] = {}

    def records(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        for image in inputs:
            shape = (image / image.amax()).mul(100).round()
            brightness.setdefault(shape.numpy().tobytes(), set()).add(float(image.amax()))
        return cross_entropy(model(inputs), labels)

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: records)
    darker = ["ColorJitter(brightness=[0.2, 1.0])"]
    train(recipe_of(digits, epochs=3, augmentation=darker), tmp_path)
    assert sum(len(values) == 3 for values in brightness.values()) > 300


def test_statistics_of_batch_norms_are_averaged_too(digits: Path, tmp_path: Path) -> None:
    # Weights that stay where they are: only the statistics of the batch norm move.
    gentle = {"learning_rate": 1e-12, "momentum": 0.0}
    for name, ema in (("plain", None), ("average", 0.99)):
        train(recipe_of(digits, epochs=1, ema=ema, optimizer=gentle), tmp_path / name)
    plain, average = (
        dict(load_model(str(tmp_path / name / "tiny.safetensors"), trust=True).named_buffers())
        for name in ("plain", "average")
    )
    moved = (plain["2.running_var"] - 1).abs().mean()
    assert (average["2.running_var"] - 1).abs().mean() < 0.5 * moved


def test_a_loss_that_is_not_finite_stops_the_run(digits: Path, tmp_path: Path) -> None:
    recipe = recipe_of(digits, optimizer={"learning_rate": 1e12}, epochs=1)
    with pytest.raises(
        InputError, match=r"the loss became (nan|inf) in epoch 1: lower the learning"
    ):
        train(recipe, tmp_path)
    assert not (tmp_path / "tiny.safetensors").exists()


def test_clipped_gradients_that_are_not_finite_show_in_the_loss(
    digits: Path, tmp_path: Path
) -> None:
    recipe = recipe_of(
        digits, optimizer={"learning_rate": 1e20}, epochs=1, largest_gradient=1.0, schedule={}
    )
    with pytest.raises(InputError, match=r"the loss became (nan|inf) in epoch 1"):
        train(recipe, tmp_path)


def tied() -> nn.Module:
    """Return a network with two layers that share their weights."""
    first, second = nn.Linear(784, 784), nn.Linear(784, 784)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), nn.Linear(784, 10))


def of_videos() -> nn.Module:
    """Return a network of 3D convolutions, which have no channels-last format of images."""
    volume = nn.Unflatten(1, (1, 1))
    return nn.Sequential(volume, nn.Conv3d(1, 4, (1, 5, 5), 4), nn.Flatten(), nn.Linear(144, 10))


@pytest.mark.parametrize("architecture", ["tied", "of_videos"])
def test_networks_of_many_kinds_are_trained(
    digits: Path, tmp_path: Path, architecture: str
) -> None:
    spec = f"{__name__}:{architecture}"
    card = train(recipe_of(digits, architecture=spec, epochs=1), tmp_path)
    trained = load_model(f"{tmp_path}/tiny.safetensors + {spec}")
    assert card.accuracy[f"{digits}[448:]"] == accuracy(trained, load_data(f"{digits}[448:]"))
