"""Samples as PNG files."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from minnorm.boxes import Interval
from minnorm.report.facts.pictures import (
    is_picture,
    magnification_of,
    perturbation_picture,
    picture,
)


def pixels(png: bytes) -> list[object]:
    found: list[object] = np.asarray(Image.open(io.BytesIO(png))).tolist()
    return found


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 28, 28), True),
        ((3, 4, 5), True),
        ((28, 28), True),
        ((32, 32, 3), True),
        ((4, 8, 8), False),
        ((3, 2, 8), False),
        ((10,), False),
        ((), False),
        ((1, 1, 100), False),
        ((3, 4, 8, 8), False),
    ],
)
def test_images_have_one_or_three_channels(shape: tuple[int, ...], expected: bool) -> None:
    assert is_picture(shape) == expected


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)])
def test_the_bounds_are_black_and_white(bounds: Interval) -> None:
    low, high = bounds
    middle = (low + high) / 2
    assert pixels(picture(torch.tensor([[[low, high, middle, 2 * high]]]), bounds)) == [
        [0, 255, 128, 255]
    ]


def test_color_images_have_their_channels_last() -> None:
    image = torch.zeros(3, 4, 5)
    image[0] = 1.0
    found = np.asarray(Image.open(io.BytesIO(picture(image, (0.0, 1.0)))))
    assert found.shape == (4, 5, 3)
    assert found[2, 3].tolist() == [255, 0, 0]
    same = picture(image.permute(1, 2, 0), (0.0, 1.0))
    assert pixels(same) == found.tolist()


def test_no_perturbation_is_gray_and_signs_are_visible() -> None:
    perturbation = torch.tensor([[0.0, 0.1, -0.1, 0.05]])
    magnification = magnification_of(perturbation, (0.0, 1.0))
    assert magnification == 5.0
    assert pixels(perturbation_picture(perturbation, magnification, (0.0, 1.0))) == [
        [128, 255, 0, 191]
    ]


@pytest.mark.parametrize("largest", [1e-4, 0.003, 0.0199, 0.21, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.0, 255.0)])
def test_the_largest_value_fills_the_range_but_does_not_leave_it(
    largest: float, bounds: Interval
) -> None:
    perturbation = torch.tensor([[largest * bounds[1], 0.0]])
    magnification = magnification_of(perturbation, bounds)
    assert 0.37 <= magnification * largest <= 0.5 * (1 + 1e-5)
    assert float(f"{magnification:.1e}") == magnification  # it is round


def test_no_perturbation_is_not_magnified() -> None:
    assert magnification_of(torch.zeros(1, 4, 4), (0.0, 1.0)) == 1.0
