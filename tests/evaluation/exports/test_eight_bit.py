"""Adversarials of 8 bits: what is rounded is still adversarial, and as close as possible."""

import numpy as np
import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, problem
from minnorm.attacks import ddn
from minnorm.boxes import Interval
from minnorm.evaluation.exports.eight_bit import (
    Verifier,
    from_pixels,
    round_outward,
    stay_adversarial,
    to_pixels,
)

BOUNDS: list[Interval] = [(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)]


def all_pixels() -> Tensor:
    return torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_pixel_comes_back(bounds: Interval, dtype: torch.dtype) -> None:
    values = from_pixels(all_pixels(), bounds)
    assert (float(values.min()), float(values.max())) == bounds
    assert to_pixels(values.to(dtype), bounds).equal(all_pixels())


def test_values_are_those_that_data_sets_have() -> None:
    pixels = np.arange(256, dtype=np.float32).reshape(1, 1, 16, 16)
    assert from_pixels(all_pixels(), (0.0, 1.0)).equal(torch.from_numpy(pixels / np.float32(255)))
    assert from_pixels(all_pixels(), (0.0, 255.0)).equal(torch.from_numpy(pixels))


def test_outward_is_away_from_the_input_and_never_outside_the_bounds() -> None:
    inputs = torch.tensor([[10.0, 10.0, 10.0, 10.0, 254.7, 0.2]]) / 255
    points = torch.tensor([[12.1, 7.9, 10.0, 12.0, 254.9, 0.1]]) / 255
    found = round_outward(inputs, points, (0.0, 1.0))
    assert found.tolist() == [[13, 7, 10, 12, 255, 0]]


def boundary() -> tuple[Verifier, Tensor, Tensor, Tensor]:
    """Return inputs on the grid of 8 bits, and adversarials just beyond the decision boundary."""
    model, inputs, labels = problem((1, 6, 6), batch=40, classes=2, network=Linear)
    grid = from_pixels(to_pixels(inputs, (0.0, 1.0)), (0.0, 1.0))
    labels = model(grid).argmax(1)
    points = ddn(model, grid, labels, steps=100).adversarials
    return Verifier(model, (0.0, 1.0), targeted=False), grid, points, labels


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_what_rounding_would_lose_is_rounded_farther_away(norm: str) -> None:
    verifier, inputs, points, labels = boundary()
    plain = verifier.ask(to_pixels(points, (0.0, 1.0)), labels).adversarial
    assert 0 < int(plain.sum()) < len(plain)  # rounding to the nearest pixels loses some
    pixels, nearest = stay_adversarial(verifier, inputs, points, labels, norm)  # type: ignore[arg-type]
    assert pixels.dtype == torch.uint8
    with torch.no_grad():
        classes = verifier.model(pixels.float() / 255).argmax(1)
    assert (classes != labels).all()
    assert nearest.equal(plain)
    assert pixels[plain].equal(to_pixels(points, (0.0, 1.0))[plain])
    lengths = (pixels.float() / 255 - inputs).flatten(1).norm(dim=1)
    before = (points - inputs).flatten(1).norm(dim=1)
    assert (lengths <= before + 6 / 255).all()  # a pixel in each of 36 entries


def test_entries_that_hardly_change_stay_as_they_are() -> None:
    inputs = torch.full((2, 1, 6, 6), 100 / 255)
    points = inputs + 0.01 / 255
    points[:, 0, 0, 0] += 0.4 / 255  # less than half a pixel, so that rounding loses it

    def model(values: Tensor) -> Tensor:
        """Take for class 1 what has one more pixel value in the first entry."""
        moved = values[:, 0, 0, 0] * 255 - 100
        return torch.stack([torch.full_like(moved, 0.3), moved], dim=1)

    verifier = Verifier(model, (0.0, 1.0), targeted=False)
    pixels, nearest = stay_adversarial(verifier, inputs, points, torch.zeros(2).long(), "l2")
    assert not nearest.any()
    assert pixels[:, 0, 0, 0].tolist() == [101, 101]
    assert (pixels.flatten(1)[:, 1:] == 100).all()  # round_outward changes all


def test_what_cannot_stay_adversarial_is_rounded_to_the_nearest_pixels() -> None:
    def never(inputs: Tensor) -> Tensor:
        return torch.stack([torch.ones(len(inputs)), torch.zeros(len(inputs))], dim=1)

    inputs, points = torch.zeros(3, 1, 2, 2), torch.full((3, 1, 2, 2), 0.3)
    verifier = Verifier(never, (0.0, 1.0), targeted=False)
    pixels, nearest = stay_adversarial(verifier, inputs, points, torch.zeros(3).long(), "l2")
    assert pixels.equal(to_pixels(points, (0.0, 1.0)))
    assert nearest.all()
    assert not verifier.ask(pixels, torch.zeros(3).long()).adversarial.any()


def test_a_targeted_image_is_adversarial_if_it_is_of_its_target() -> None:
    verifier, inputs, _, labels = boundary()
    pixels = to_pixels(inputs, (0.0, 1.0))
    aimed = Verifier(verifier.model, (0.0, 1.0), targeted=True)
    assert aimed.ask(pixels, labels).adversarial.all()
    assert not aimed.ask(pixels, 1 - labels).adversarial.any()
    assert aimed.ask(pixels, labels).classes.equal(labels)
