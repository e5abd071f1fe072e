"""Data of an evaluation: the scale that its bounds have, and slices that are no fair sample."""

import logging
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from minnorm.data import as_data
from minnorm.errors import InputError
from minnorm.evaluation import evaluate

measure = partial(evaluate, attacks="ddn(steps=20)", accelerate="off", batch_size=20)
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (12, 5)).astype(np.uint8))
LABELS = torch.arange(12) % 3


class Linear(nn.Module):
    """A linear classifier of values in 0..`white`."""

    def __init__(self, white: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 5, generator=torch.Generator().manual_seed(0)))
        self.white = white

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs / self.white) @ self.weight.T


def linear(white: float) -> nn.Module:
    """Return the classifier in evaluation mode."""
    return Linear(white).eval()


def _distances(evaluation: Any) -> np.ndarray[Any, Any]:
    return np.array(evaluation.records.column("l2").to_pylist(), float)


@pytest.mark.parametrize(
    "data", [(PIXELS, LABELS), (PIXELS.numpy(), LABELS.numpy()), TensorDataset(PIXELS, LABELS)]
)
def test_8_bit_images_with_bounds_0_to_255_are_those_of_the_model_and_not_divided(
    data: Any,
) -> None:
    divided = measure(linear(1), data)
    kept = measure(linear(255), data, bounds=(0, 255))
    assert not divided.warnings
    assert not kept.warnings
    clean = [found.records.column("clean_prediction").to_pylist() for found in (divided, kept)]
    assert clean[0] == clean[1]
    np.testing.assert_allclose(_distances(kept), 255 * _distances(divided), rtol=1e-2)
    assert _distances(kept).max() > 2


def test_8_bit_images_with_other_bounds_are_refused() -> None:
    with pytest.raises(InputError, match=r"data holds 8-bit values .* bounds=\(-1.0, 1.0\)"):
        measure(linear(1), (PIXELS, LABELS), bounds=(-1, 1))


def _small_values(largest: int, samples: int = 40) -> Tensor:
    drawn = np.random.default_rng(0).integers(0, largest + 1, (samples, 5))
    drawn[0, 0] = largest
    return torch.from_numpy(drawn.astype(np.uint8))


@pytest.mark.parametrize("largest", [1, 16, 32])
@pytest.mark.parametrize("as_items", [False, True])
def test_8_bit_values_that_do_not_go_up_to_255_warn(largest: int, as_items: bool) -> None:
    pair = _small_values(largest), torch.arange(40) % 3
    (doubt, *_) = measure(linear(1), TensorDataset(*pair) if as_items else pair).doubts
    assert doubt.kind == "scale"
    assert f"but no value of 40 samples is above {largest}." in doubt.text


@pytest.mark.parametrize("values", ["dark first", "black", "above", "floats", "kept"])
def test_dark_images_are_on_the_scale_of_images(values: str) -> None:
    pixels = _small_values(33 if values == "above" else 20)
    if values == "black":
        pixels.zero_()
    elif values == "dark first":
        pixels[33] = 200
    data = pixels / 255 if values == "floats" else pixels
    bounds = (0, 255) if values == "kept" else (0, 1)
    found = measure(linear(1), (data, torch.arange(40) % 3), bounds=bounds)
    assert "scale" not in {doubt.kind for doubt in found.doubts}


def test_values_up_to_1_with_the_bounds_of_8_bit_images_warn() -> None:
    found = measure(linear(1), (PIXELS / 255, LABELS), bounds=(0, 255))
    assert any("use the bounds 0 and 1" in warning for warning in found.warnings)


def test_a_slice_that_is_no_fair_sample_is_a_warning_of_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = as_data((PIXELS, LABELS.sort().values))
    with caplog.at_level(logging.WARNING, logger="minnorm"):
        (warning,) = measure(linear(1), data[:4]).warnings
    assert warning.startswith("the samples of data are sorted by class, and the slice [0:4] has 1")
    assert [record.getMessage() for record in caplog.records] == [warning]
    assert measure(linear(1), data[::3]).warnings == ()


def test_a_label_without_a_class_anywhere_in_the_data_is_refused_before_the_attack() -> None:
    labels = torch.where(torch.arange(12) == 11, 3, LABELS)
    with pytest.raises(InputError, match=r"^data: labels range from 0 to 3, but the model has 3"):
        measure(linear(1), (PIXELS, labels))
