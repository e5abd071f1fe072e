"""Attacks start where the sample was perturbed to in the previous epoch."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from minnorm.geometry import norms
from minnorm.training import OBJECTIVES, Adversarial, loop, train, warm_starts
from minnorm.training.augmentation import Augmentation
from minnorm.training.loading import TrainingBatch
from minnorm.training.warm_starts import WarmStarts
from training.small_runs import assert_same_run, recipe_of, stopped


def unchanged(images: Tensor, _: Sequence[int]) -> Tensor:
    return images


def flipped(images: Tensor, seeds: Sequence[int]) -> Tensor:
    """Flip the images with odd seeds."""
    odd = torch.tensor(seeds) % 2 == 1
    return torch.where(odd.view(-1, 1), images.flip(1), images)


def enlarged(images: Tensor, _: Sequence[int]) -> Tensor:
    """Enlarge the middle of the images."""
    return interpolate(images[:, None, 2:6], scale_factor=2)[:, 0]


def a_batch(
    positions: Sequence[int], seeds: Sequence[int], augment: Augmentation = unchanged
) -> TrainingBatch:
    images = torch.rand(len(positions), 8, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    places, labels = torch.tensor(positions), torch.zeros(len(positions), dtype=torch.int64)
    return TrainingBatch(places, images, augment(images, seeds), labels, seeds)


def test_samples_without_a_perturbation_start_at_their_inputs() -> None:
    starts, batch = WarmStarts(6, unchanged), a_batch([4, 0, 2], [0, 0, 0])
    assert starts.starts(batch, batch.inputs).equal(batch.inputs)
    starts.keep(batch, batch.inputs, batch.inputs + 0.125)
    other = a_batch([1, 3, 5], [0, 0, 0])
    assert starts.starts(other, other.inputs).equal(other.inputs)


def test_each_sample_starts_from_its_last_perturbation() -> None:
    starts, batch = WarmStarts(6, unchanged), a_batch([4, 0, 2], [0, 0, 0])
    for share in (0.5, 0.125):
        moved = share * torch.tensor([[0.25], [-0.25], [0.125]])
        starts.keep(batch, batch.inputs, batch.inputs + moved)
    again = a_batch([0, 1, 4], [0, 0, 0])
    offsets = starts.starts(again, again.inputs) - again.inputs
    expected = torch.tensor([[-0.03125], [0.0], [0.03125]]).expand(3, 8)
    torch.testing.assert_close(offsets, expected)


def test_starts_stay_in_the_unit_box() -> None:
    starts, batch = WarmStarts(1, unchanged), a_batch([0], [0])
    starts.keep(batch, batch.inputs, batch.inputs + 0.75)
    begun = starts.starts(batch, batch.inputs)
    assert begun.max() == pytest.approx(1, abs=1e-6)
    starts.keep(batch, batch.inputs, batch.inputs - 0.75)
    assert starts.starts(batch, batch.inputs).min() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("first", "then"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_perturbation_is_augmented_as_its_image(first: int, then: int) -> None:
    starts, batch = WarmStarts(1, flipped), a_batch([0], [first], flipped)
    offset = torch.arange(8.0)[None] / 64
    starts.keep(batch, batch.inputs, batch.inputs + offset)
    again = a_batch([0], [then], flipped)
    found = starts.starts(again, again.inputs) - again.inputs
    torch.testing.assert_close(found, offset if first == then else offset.flip(1))


def test_augmentation_makes_no_perturbation_longer() -> None:
    starts, batch = WarmStarts(1, enlarged), a_batch([0], [0], enlarged)
    points, lengths = batch.inputs + torch.arange(8.0) / 64, []
    for _ in range(4):
        lengths.append(float(norms(points - batch.inputs)))
        starts.keep(batch, batch.inputs, points)
        kept = starts.state_dict()["perturbations"]
        assert kept is not None
        assert float(norms(kept.float())) <= lengths[-1] * (1 + 1e-3)  # float16
        points = starts.starts(batch, batch.inputs)
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] > 0


def test_an_augmentation_without_a_gradient_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def rounded(images: Tensor, _: Sequence[int]) -> Tensor:
        return images.detach().round()

    starts, batch = WarmStarts(2, rounded), a_batch([0, 1], [0, 0], rounded)
    caplog.set_level(logging.INFO)
    for _ in range(2):
        starts.keep(batch, batch.inputs, batch.inputs + 0.125)
    kept = starts.state_dict()["perturbations"]
    assert kept is not None
    assert not kept.any()
    assert caplog.text.count("has no gradient, so no perturbations are kept") == 1
    assert caplog.text.count("the gradient of the augmentation: RuntimeError") == 1


def test_a_restored_state_has_the_same_starts_and_nothing_new() -> None:
    starts, batch = WarmStarts(3, unchanged), a_batch([0, 2], [0, 0])
    empty = WarmStarts(3, unchanged)
    empty.load_state_dict(starts.state_dict())
    assert empty.starts(batch, batch.inputs).equal(batch.inputs)
    starts.keep(batch, batch.inputs, batch.inputs + 0.125)
    empty.load_state_dict(starts.state_dict())
    assert empty.starts(batch, batch.inputs).equal(starts.starts(batch, batch.inputs))
    empty.share(lambda _: pytest.fail("nothing is new"))


def remembering(rank: int) -> WarmStarts:
    """Return the starts of a rank of two: of ten samples it perturbed every second one."""
    batch, made = a_batch(range(rank, 10, 2), [0] * 5), WarmStarts(10, unchanged)
    made.keep(batch, torch.full((5, 8), 0.5), torch.full((5, 8), 0.5 + 0.25 * (rank + 1)))
    return made


def test_ranks_share_what_is_new_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_starts, "_SHARED_AT_ONCE", 4)
    for rank in range(2):
        sent: list[Tensor] = []

        def listen(part: Tensor, sent: list[Tensor] = sent) -> Tensor:
            sent.append(part)
            return part

        remembering(1 - rank).share(listen)
        assert [len(part) for part in sent] == [4, 4, 4, 4, 2, 2]
        one = remembering(rank)
        parts = iter(sent)
        one.share(lambda part, parts=parts: part + next(parts))  # type: ignore[misc]
        kept = one.state_dict()["perturbations"]
        assert kept is not None
        assert kept[:, 0].tolist() == [0.25, 0.5] * 5
        one.share(lambda _: pytest.fail("everything is shared"))


def moving(move: Callable[[Tensor, Tensor], Tensor]) -> Adversarial:
    """Return an objective that perturbs by `move(inputs, starts)`."""

    def perturb(
        _: nn.Module, inputs: Tensor, __: Tensor, starts: Tensor | None, ___: Generator
    ) -> Tensor:
        assert starts is not None
        return move(inputs, starts)

    def loss(model: nn.Module, _: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(model(points), labels)

    return Adversarial(perturb, loss, warm_start=True)


def test_in_a_run_each_epoch_starts_from_the_points_of_the_previous_one(
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

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: moving(move))
    train(recipe_of(digits, epochs=3), tmp_path)
    assert len(begun) == 384
    assert all(moves == [0, 0.25, 0.5] for moves in begun.values())


def test_an_objective_goes_on_from_the_points_of_the_one_before(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets: list[float] = []

    def first(inputs: Tensor, starts: Tensor) -> Tensor:
        assert starts.equal(inputs)
        return inputs + 0.25

    def second(inputs: Tensor, starts: Tensor) -> Tensor:
        offsets.append(float((starts - inputs).max()))
        return starts

    monkeypatch.setitem(OBJECTIVES, "first", lambda: moving(first))
    monkeypatch.setitem(OBJECTIVES, "second", lambda: moving(second))
    train(recipe_of(digits, epochs=3, objective={1: "first", 2: "clean", 3: "second"}), tmp_path)
    assert offsets == pytest.approx([0.25] * 12, abs=1e-3)


def test_a_resumed_run_has_the_same_warm_starts(digits: Path, tmp_path: Path) -> None:
    objective = "ddn(max_norm=1.0, steps=2, gamma=0.3, warm_start=True)"
    recipe = recipe_of(digits, objective=objective, epochs=2)
    undisturbed = (tmp_path / "undisturbed", train(recipe, tmp_path / "undisturbed"))
    folder = stopped(recipe, tmp_path / "run", 1.5)
    assert_same_run(folder, train(recipe, folder, resume=True), undisturbed)
    cold = recipe_of(digits, objective=objective.replace("True", "False"), epochs=2)
    assert train(cold, tmp_path / "cold").sha256 != undisturbed[1].sha256


@pytest.mark.parametrize(
    "augmentation",
    [["RandomHorizontalFlip(p=0.5)"], ["RandomCrop(size=28, padding=4)"]],
    ids=["flips", "crops"],
)
def test_with_flips_and_crops_perturbations_follow_the_image(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augmentation: list[str]
) -> None:
    errors: list[float] = []

    def move(inputs: Tensor, starts: Tensor) -> Tensor:
        # Halfway to a gray image does not depend on how the image is flipped or cropped.
        if not starts.equal(inputs):
            moved = inputs + 0.5 * (0.5 - inputs)
            inside = (starts - inputs).abs() > 1e-3  # not what a crop moved in from outside
            errors.append(float((starts - moved)[inside].abs().max()))
            assert inside.float().mean() > 0.6
        return inputs + 0.5 * (0.5 - inputs)

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: moving(move))
    train(recipe_of(digits, epochs=3, augmentation=augmentation), tmp_path)
    assert len(errors) == 2 * 12
    assert max(errors) < 2e-3  # float16


def test_in_mixed_precision_starts_are_augmented_in_full_precision_as_inputs_are(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_low_precision: list[bool] = []

    def watched(images: Tensor, _: Sequence[int]) -> Tensor:
        in_low_precision.append(torch.is_autocast_enabled("cpu"))
        return images

    monkeypatch.setattr(loop, "load_augmentation", lambda _: watched)
    monkeypatch.setitem(OBJECTIVES, "clean", lambda: moving(lambda inputs, _: inputs / 2))
    train(recipe_of(digits, epochs=2, precision="bf16-mixed"), tmp_path)
    # The inputs of 24 batches, what is kept of them, and the starts of all but the first.
    assert in_low_precision == [False] * (24 + 24 + 23)


@pytest.mark.parametrize("transform", ["AutoAugment()", "RandomErasing(p=1.0, inplace=True)"])
def test_with_a_transform_without_a_gradient_nothing_is_kept(
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

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: moving(move))
    train(recipe_of(digits, epochs=2, augmentation=[transform]), tmp_path)
    assert seen == [True] * 24
    assert caplog.text.count("no perturbations are kept") == 1


def test_with_crops_that_enlarge_perturbations_do_not_grow(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest: list[float] = []

    def stay(inputs: Tensor, starts: Tensor) -> Tensor:
        if starts.equal(inputs):  # in the first epoch
            return inputs + 0.1 * (0.5 - inputs)
        longest.append(float(norms(starts - inputs).max()))
        return starts

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: moving(stay))
    crops: list[Any] = ["RandomResizedCrop(size=28, scale=[0.3, 0.6], antialias=True)"]
    train(recipe_of(digits, epochs=4, augmentation=crops), tmp_path)
    assert len(longest) == 3 * 12
    assert max(longest[-12:]) <= max(longest[:12]) * (1 + 1e-3) < 1.5  # float16
