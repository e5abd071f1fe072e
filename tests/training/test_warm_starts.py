"""Attacks start where the sample was moved in the last epoch."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm.training import OBJECTIVES, Adversarial, Objective, train
from minnorm.training.objectives import memory
from training.small_runs import assert_same_run, recipe_of, stopped


def _moving(move: Callable[[Tensor, Tensor], Tensor]) -> Objective:
    """Gives the loss where samples are moved to from where they were."""

    def perturb(
        model: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator, starts: Tensor
    ) -> Tensor:
        assert not model.training
        assert len(labels) == len(inputs)
        assert generator.device == inputs.device
        return move(inputs, starts)

    def loss(model: nn.Module, inputs: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        assert points.shape == inputs.shape
        return cross_entropy(model(points), labels)

    return Adversarial(perturb, loss, warm_start=True)


def test_a_warm_start_begins_where_the_sample_was_the_last_time(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: dict[bytes, list[float]] = {}

    def move(inputs: Tensor, starts: Tensor) -> Tensor:
        for image, start in zip(inputs, starts, strict=True):
            begun.setdefault(image.numpy().tobytes(), []).append(
                float(start[0, 0, 0] - image[0, 0, 0])
            )
        moved = starts.clone()
        moved[:, 0, 0, 0] += 0.25
        return moved

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: _moving(move))
    train(recipe_of(digits, epochs=3), tmp_path)
    assert len(begun) == 384
    assert all(moves == [0, 0.25, 0.5] for moves in begun.values())


def test_a_warm_start_is_the_same_in_a_run_that_was_stopped(digits: Path, tmp_path: Path) -> None:
    objective = "ddn(max_norm=1.0, steps=2, gamma=0.3, warm_start=True)"
    recipe = recipe_of(digits, objective=objective)
    undisturbed = (tmp_path / "undisturbed", train(recipe, tmp_path / "undisturbed"))

    folder = stopped(recipe, tmp_path / "run", 1.5)
    assert_same_run(folder, train(recipe, folder, resume=True), undisturbed)
    cold = train(recipe_of(digits, objective=objective.replace("True", "False")), tmp_path / "cold")
    assert cold.sha256 != undisturbed[1].sha256


@pytest.mark.parametrize(
    "augmentation",
    [["RandomHorizontalFlip(p=0.5)"], ["RandomCrop(size=28, padding=4)"]],
    ids=["flips", "crops"],
)
def test_a_warm_start_moves_with_the_image(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augmentation: list[str]
) -> None:
    errors: list[float] = []

    def move(inputs: Tensor, starts: Tensor) -> Tensor:
        # Half of the way to a gray image is the same whatever has become of the image.
        if not starts.equal(inputs):
            moved = inputs + 0.5 * (0.5 - inputs)
            inside = (starts - inputs).abs() > 1e-3  # what came from beyond the edge is unknown
            errors.append(float((starts - moved)[inside].abs().max()))
            assert inside.float().mean() > 0.6
        return inputs + 0.5 * (0.5 - inputs)

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: _moving(move))
    train(recipe_of(digits, epochs=3, augmentation=augmentation), tmp_path)
    assert len(errors) == 2 * 12
    assert max(errors) < 2e-3  # float16


def test_what_is_remembered_does_not_grow(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = []

    def stay(inputs: Tensor, starts: Tensor) -> Tensor:
        if starts.equal(inputs):  # in the first epoch
            return inputs + 0.1 * (0.5 - inputs)
        longest.append(float((starts - inputs).flatten(1).norm(dim=1).max()))
        return starts

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: _moving(stay))
    crops = ["RandomResizedCrop(size=28, scale=[0.3, 0.6], antialias=True)"]
    train(recipe_of(digits, epochs=6, augmentation=crops), tmp_path)
    assert len(longest) == 5 * 12
    assert max(longest[-12:]) <= max(longest[:12]) < 1.5


def _remembering(rank: int) -> memory.Memory:
    """Gives what a rank of two remembers of ten samples, of which it moved every second one."""
    inputs, made = torch.full((5, 3), 0.5), memory.Memory(10)
    made.turn_to(torch.arange(rank, 10, 2), inputs, lambda images: images)
    made.keep(inputs, inputs + 0.25 * (rank + 1))
    return made


def test_ranks_share_what_is_new_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SHARED_AT_ONCE", 4)
    for rank in range(2):
        told: list[Tensor] = []

        def listen(part: Tensor, told: list[Tensor] = told) -> Tensor:
            told.append(part)
            return part

        _remembering(1 - rank).share(listen)
        assert [len(part) for part in told] == [4, 4, 4, 4, 2, 2]
        one = _remembering(rank)
        parts = iter(told)
        one.share(lambda part, parts=parts: part + next(parts))  # type: ignore[misc]
        inputs = torch.full((10, 3), 0.5)
        one.turn_to(torch.arange(10), inputs, lambda images: images)
        assert one.starts(inputs)[:, 0].tolist() == [0.75, 1.0] * 5


@pytest.mark.parametrize("transform", ["AutoAugment()", "RandomErasing(p=1.0, inplace=True)"])
def test_of_a_transform_without_a_gradient_nothing_is_remembered(
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    transform: str,
) -> None:
    seen: list[bool] = []

    def move(inputs: Tensor, starts: Tensor) -> Tensor:
        seen.append(starts.equal(inputs))
        return inputs * 0.5

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: _moving(move))
    train(recipe_of(digits, epochs=2, augmentation=[transform]), tmp_path)
    assert seen == [True] * 24
    assert caplog.text.count("no perturbations are kept") == 1
