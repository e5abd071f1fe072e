"""The checks of the tensors and bounds that every attack takes."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minnorm.attacks.engine.samples import check_samples
from minnorm.boxes import Bounds
from minnorm.errors import InputError

INPUTS, LABELS = torch.tensor([[0.0, 0.5], [0.5, 1.0]]), torch.tensor([0, 1])


def refused(message: str, inputs: Any, labels: Any, bounds: Any, starts: Any = None) -> None:
    """Check that these samples are refused with this message."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_samples(inputs, labels, bounds, starts)


@pytest.mark.parametrize(
    "bounds",
    [(1.0, 0.0), (0.0, 0.0), (0.0,), (0.0, 1.0, 2.0), (0.0, "1"), ("0", 1.0), (False, True),
     (0.0, True), (math.nan, 1.0), (0.0, math.nan), (0.0, 1j), np.array([0.0, 1.0]), "01", 1.0,
     None],
    ids=str,
)  # fmt: skip
def test_bounds_that_are_not_two_ascending_numbers_are_refused(bounds: Any) -> None:
    message = (
        f"bounds={bounds}: expected (low, high), two numbers with low < high, or tensors with a "
        "bound for each feature."
    )
    refused(message, INPUTS, LABELS, bounds)


@pytest.mark.parametrize("name", ["inputs", "labels", "starts"])
@pytest.mark.parametrize("value", [[0.0], np.zeros(2), None], ids=["list", "ndarray", "NoneType"])
def test_what_is_not_a_tensor_is_refused_by_its_name(name: str, value: Any) -> None:
    given = {"inputs": INPUTS, "labels": LABELS, "starts": INPUTS, name: value}
    if name == "starts" and value is None:
        check_samples(INPUTS, LABELS, (0.0, 1.0), None)
        return
    message = (
        f"{name} are a {type(value).__name__}; expected a torch tensor, for example "
        f"torch.as_tensor({name})."
    )
    refused(message, given["inputs"], given["labels"], (0.0, 1.0), given["starts"])


@pytest.mark.parametrize(
    ("shape", "dtype"), [((), torch.float32), ((2, 3), torch.int64), ((2, 3), torch.complex64)]
)
def test_inputs_are_batches_of_floating_point_values(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    message = (
        f"inputs have shape {list(shape)} and dtype {dtype}; expected floating point values "
        "[b, ...]."
    )
    refused(message, torch.zeros(shape, dtype=dtype), LABELS, (0.0, 1.0))


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 1), (0,), (0, 3), (0, 0), (2, 3, 4, 5)])
def test_samples_have_any_shape_and_number(shape: tuple[int, ...]) -> None:
    inputs = torch.full(shape, 0.5)
    check_samples(inputs, torch.zeros(shape[0], dtype=torch.int64), (0.0, 1.0), inputs)


@pytest.mark.parametrize("count", [1, 2])
def test_samples_without_values_are_refused(count: int) -> None:
    labels = torch.zeros(count, dtype=torch.int64)
    message = f"inputs have shape [{count}, 0]: the samples hold no values."
    refused(message, torch.zeros(count, 0), labels, (0.0, 1.0))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((3,), torch.int64), ((2, 1), torch.int64), ((), torch.int64), ((2,), torch.int32),
     ((2,), torch.float32)],
)  # fmt: skip
def test_each_input_has_one_label(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    message = (
        f"labels have shape {list(shape)} and dtype {dtype}; expected int64 of shape [2], one for "
        "each input."
    )
    if shape == ():
        message += (
            " For a single sample, add the dimension of the batch to both, inputs[None] and "
            "labels[None]."
        )
    refused(message, INPUTS, torch.zeros(shape, dtype=dtype), (0.0, 1.0))


def test_labels_are_on_the_device_of_the_inputs() -> None:
    message = "inputs are on cpu, labels on meta; expected the same device."
    refused(message, INPUTS, LABELS.to("meta"), (0.0, 1.0))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 3), torch.float32), ((2,), torch.float32), ((2, 2), torch.float64)]
)
def test_starts_have_the_shape_and_dtype_of_the_inputs(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    message = (
        f"starts are {dtype} of shape {list(shape)}; expected the same as the inputs, "
        "torch.float32 of shape [2, 2]."
    )
    refused(message, INPUTS, LABELS, (0.0, 1.0), torch.zeros(shape, dtype=dtype))


OUTSIDE = (
    "range from {:g} to {:g}, outside the bounds {}: scale them (normalization belongs in the "
    "model), or set the bounds that they have."
)


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([-0.1, 1.0], (0.0, 1.0)),
        ([0.0, 1.1], (0.0, 1.0)),
        ([2.0, 2.0], (0.0, 1.0)),
        ([2.0], (0.0, 1.0)),
        ([0.0, math.inf], (0.0, math.inf)),
        ([-math.inf, 0.0], (-math.inf, 0.0)),
    ],
)
def test_inputs_and_starts_outside_the_bounds_are_refused(
    values: list[float], bounds: Bounds
) -> None:
    outside = torch.tensor([values])
    label = torch.tensor([0])
    message = OUTSIDE.format(values[0], values[-1], bounds)
    refused(f"inputs {message}", outside, label, bounds)
    refused(f"starts {message}", torch.zeros_like(outside), label, bounds, outside)


def test_nan_is_refused() -> None:
    broken = torch.tensor([[0.0, math.nan], [0.5, 1.0]])
    message = "hold NaN: remove those samples or fix them."
    refused(f"inputs {message}", broken, LABELS, (0.0, 1.0))
    refused(f"starts {message}", INPUTS, LABELS, (0.0, 1.0), broken)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_bounds_themselves_are_inside_in_each_dtype(dtype: torch.dtype) -> None:
    ends: Tensor = torch.tensor([[0.1, 0.7], [0.1, 0.7]], dtype=dtype)
    check_samples(ends, LABELS, (0.1, 0.7))
    eps = torch.finfo(dtype).eps
    for beyond in (0.1 * (1 - 2 * eps), 0.7 * (1 + 2 * eps)):
        with pytest.raises(InputError, match=r"outside the bounds \(0\.1, 0\.7\)"):
            check_samples(torch.full((2, 2), beyond, dtype=dtype), LABELS, (0.1, 0.7))
