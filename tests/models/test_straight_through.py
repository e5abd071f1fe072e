"""Steps without useful gradients, against closed forms of their stand-ins."""

import copy
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import minnorm
from minnorm.errors import InputError
from minnorm.models import StraightThrough, fingerprint, straight_through

WEIGHTS = torch.linspace(-1, 1, 16).reshape(1, 16)


def rounded(batch: Tensor) -> Tensor:
    return (8 * batch).round() / 8


def jpeg(batch: Tensor) -> Tensor:
    """Compress each image of one channel, one after the other."""
    images = []
    for sample in batch:
        buffer = io.BytesIO()
        Image.fromarray((255 * sample[0]).round().byte().numpy()).save(buffer, "JPEG", quality=60)
        images.append(torch.from_numpy(np.asarray(Image.open(buffer)).copy())[None] / 255)
    return torch.stack(images)


def pulled_back(module: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the outputs of a module, and the gradients of their sum weighted by position."""
    variables = inputs.clone().requires_grad_()
    outputs = module(variables)
    weights = torch.arange(1.0, outputs.numel() + 1).reshape(outputs.shape).to(outputs.dtype)
    (gradients,) = torch.autograd.grad((weights * outputs).sum(), variables)
    return outputs.detach(), gradients


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_forward_pass_is_the_step_and_the_backward_pass_the_identity(
    dtype: torch.dtype,
) -> None:
    inputs = torch.rand(3, 2, 4).to(dtype)
    outputs, gradients = pulled_back(straight_through(rounded), inputs)
    assert outputs.dtype == dtype
    assert torch.equal(outputs, rounded(inputs))
    assert torch.equal(gradients, torch.arange(1.0, 25).reshape(3, 2, 4).to(dtype))


def test_jpeg_of_single_images_keeps_its_bits_and_gets_gradients() -> None:
    images = torch.rand(3, 1, 8, 8)
    outputs, gradients = pulled_back(straight_through(jpeg), images)
    assert torch.equal(outputs, jpeg(images))
    assert not torch.equal(outputs, images)
    assert torch.equal(gradients, torch.arange(1.0, 193).reshape(3, 1, 8, 8))


def test_a_stand_in_is_differentiated_at_the_same_point() -> None:
    # The derivative of the square is twice the point.
    module = straight_through(lambda batch: (batch > 0.5).to(batch), torch.square)
    inputs = torch.rand(4, 3)
    outputs, gradients = pulled_back(module, inputs)
    assert torch.equal(outputs, (inputs > 0.5).float())
    weights = torch.arange(1.0, 13).reshape(4, 3)
    torch.testing.assert_close(gradients, 2 * inputs * weights)


def test_a_stand_in_may_be_a_module_with_outputs_of_another_shape() -> None:
    def thermometer(batch: Tensor) -> Tensor:
        return torch.cat([(batch > level).to(batch) for level in (0.25, 0.5, 0.75)], dim=1)

    class Ramps(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return torch.cat([batch, 2 * batch, 3 * batch], dim=1)

    module = straight_through(thermometer, Ramps().eval())
    inputs = torch.rand(2, 5)
    outputs, gradients = pulled_back(module, inputs)
    assert torch.equal(outputs, thermometer(inputs))
    first, second, third = torch.arange(1.0, 31).reshape(2, 15).chunk(3, dim=1)
    assert torch.equal(gradients, first + 2 * second + 3 * third)


def test_a_step_of_numpy_becomes_a_tensor_of_the_dtype_of_the_inputs() -> None:
    inputs = torch.rand(3, 4)
    module = straight_through(lambda batch: np.flip(batch.numpy(), 1).astype(np.float64))
    outputs, gradients = pulled_back(module, inputs)
    assert outputs.dtype == torch.float32
    assert torch.equal(outputs, inputs.flip(1))
    assert torch.equal(gradients, torch.arange(1.0, 13).reshape(3, 4))


def test_a_step_that_works_in_place_does_not_change_its_inputs() -> None:
    inputs = torch.rand(2, 3)
    before = inputs.clone()
    outputs, _ = pulled_back(straight_through(lambda batch: batch.mul_(4).floor_().div_(4)), inputs)
    assert torch.equal(inputs, before)
    assert torch.equal(outputs, (4 * inputs).floor() / 4)
    # The next part of a model may work in place too.
    module = nn.Sequential(straight_through(rounded), nn.ReLU(inplace=True)).eval()
    assert torch.equal(pulled_back(module, inputs)[0], rounded(inputs))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_the_stand_in_is_not_called(mode: Callable[[], Any]) -> None:
    def fails(_: Tensor) -> Tensor:
        raise AssertionError

    inputs = torch.rand(2, 3)
    with mode():
        outputs = straight_through(rounded, fails)(inputs)
    assert not outputs.requires_grad
    assert torch.equal(outputs, rounded(inputs))


def test_an_empty_batch_does_not_reach_the_step() -> None:
    per_sample = straight_through(lambda batch: torch.stack([one.round() for one in batch]))
    assert per_sample(torch.rand(0, 3)).shape == (0, 3)
    wide = straight_through(per_sample.step, lambda batch: batch.repeat(1, 2))
    assert wide(torch.rand(0, 3)).shape == (0, 6)


def test_modules_inside_are_parts_of_the_module_and_give_it_their_mode() -> None:
    step, backward = nn.BatchNorm1d(3), nn.Linear(3, 3)
    module = straight_through(step.eval(), backward.eval())
    assert not module.training
    assert dict(module.named_children()) == {"step": step, "backward": backward}
    assert straight_through(nn.BatchNorm1d(3)).training
    assert not straight_through(rounded).training


def test_the_fingerprint_names_functions_and_no_addresses() -> None:
    module = straight_through(rounded)
    assert repr(module) == f"StraightThrough(step={__name__}.rounded)"
    assert repr(straight_through(torch.Tensor.round)).endswith(".round)")
    assert fingerprint(module) == fingerprint(copy.deepcopy(module))
    assert fingerprint(module) != fingerprint(straight_through(jpeg))
    assert fingerprint(module) != fingerprint(straight_through(rounded, torch.sigmoid))


def test_samples_of_vmap_reach_the_step_as_one_batch() -> None:
    sizes = []

    def counted(batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        return torch.from_numpy(batch.numpy().round())  # fails for the tensors of vmap themselves

    module = straight_through(counted)
    inputs = torch.rand(5, 3, requires_grad=True)
    outputs = torch.func.vmap(lambda sample: module(sample[None])[0])(inputs)
    assert torch.equal(outputs, inputs.round())
    assert sizes == [5]
    (gradients,) = torch.autograd.grad(outputs.sum(), inputs)
    assert torch.equal(gradients, torch.ones(5, 3))


def test_an_attack_finds_the_closest_point_behind_a_step() -> None:
    # The classes of a linear function of rounded inputs change near its boundary.
    linear = nn.Linear(16, 2).double()
    with torch.no_grad():
        linear.weight.copy_(torch.cat([WEIGHTS, -WEIGHTS]))
        linear.bias.zero_()
    fine = straight_through(lambda batch: (1000 * batch).round() / 1000)
    model = nn.Sequential(fine, linear).eval()
    inputs = 0.5 + 0.1 * torch.rand(6, 16, dtype=torch.float64)
    labels = model(inputs).argmax(1)
    found = minnorm.attack(model, inputs, labels, budget=30)
    expected = (inputs @ WEIGHTS[0].double()).abs() / WEIGHTS.double().norm()
    assert found.success.all()
    # A point moves by up to half a thousandth in each of 16 entries.
    assert (found.distances - expected).abs().max() <= 0.5e-3 * math.sqrt(16)
    with pytest.warns(UserWarning, match=r"minnorm\.models\.straight_through"):
        blind = minnorm.attack(nn.Sequential(Step(), linear).eval(), inputs, labels, budget=30)
    assert blind.distances.median() > 2 * found.distances.median()


class Step(nn.Module):
    """The same step, which blocks gradients."""

    def forward(self, inputs: Tensor) -> Tensor:
        return (1000 * inputs).round() / 1000


@pytest.mark.parametrize(
    ("step", "backward", "message"),
    [
        ("round", None, "step is a str; expected a function or module"),
        (rounded, 3, "backward is a int; expected a function or module"),
    ],
)
def test_what_cannot_be_called_is_refused(step: Any, backward: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        straight_through(step, backward)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (StraightThrough(lambda x: x.mean(1)), r"returns shape \[2\] for inputs of shape \[2, 3\]"),
        (StraightThrough(lambda x: x.mean(1)), r"straight_through\(step, backward=\.\.\.\)"),
        (StraightThrough(rounded, lambda x: x.mean(1)), r"returns \[2\], but the step returns"),
        (StraightThrough(rounded, lambda _: None), "backward of straight_through returns NoneType"),
        (
            StraightThrough(lambda x: x.byte()),
            r"returned Tensor of dtype torch\.uint8; expected",
        ),
        (StraightThrough(lambda x: x.numpy() > 0.5), r"returned ndarray of dtype bool; expected"),
        (StraightThrough(lambda _: "text"), "returned str; expected a floating-point tensor"),
    ],
)
def test_outputs_that_cannot_be_differentiated_say_what_is_needed(
    module: StraightThrough, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        module(torch.rand(2, 3))
