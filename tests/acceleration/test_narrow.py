"""Convolutions with few input channels: which are replaced, and their gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from acceleration.small_networks import Residual, example, network
from minnorm.acceleration.agreement import input_gradients
from minnorm.acceleration.narrow import NarrowConvolution, replace_narrow_convolutions


# Each pair of kernel, padding and stride occurs.
@pytest.mark.parametrize(
    ("channels", "kernel", "padding", "stride"),
    [
        (1, 1, 0, 1),
        (3, 1, 1, 2),
        (1, 1, (2, 1), (2, 3)),
        (3, 3, 0, 2),
        (1, 3, 1, (2, 3)),
        (4, 3, (2, 1), 1),
        (2, (5, 2), 0, (2, 3)),
        (3, (5, 2), 1, 1),
        (1, (5, 2), (2, 1), 2),
    ],
)
def test_gradients_of_narrow_convolutions(
    channels: int, kernel: Any, padding: Any, stride: Any
) -> None:
    torch.manual_seed(0)
    settings = {"stride": stride, "padding": padding, "bias": channels != 2}
    convolution = nn.Conv2d(channels, 6, kernel, **settings)
    model = nn.Sequential(convolution, nn.Flatten(), nn.ReLU()).requires_grad_(False)
    inputs = torch.rand(4, channels, 9, 11)
    expected, logits = input_gradients(model, inputs), model(inputs)
    assert replace_narrow_convolutions(model)
    assert isinstance(model[0], NarrowConvolution)
    assert torch.equal(model(inputs), logits)
    assert expected.any()
    torch.testing.assert_close(input_gradients(model, inputs), expected, rtol=1e-4, atol=1e-6)


def test_gradients_in_bfloat16_are_added_in_float32() -> None:
    torch.manual_seed(0)
    # Of 1,024 equal terms a sum in bfloat16 stops growing at 256.
    convolution = nn.Conv2d(1, 1, 32, bias=False, dtype=torch.bfloat16).requires_grad_(False)
    nn.init.ones_(convolution.weight)
    model = nn.Sequential(convolution)
    assert replace_narrow_convolutions(model)
    inputs = torch.ones(1, 1, 63, 63, dtype=torch.bfloat16, requires_grad=True)
    (gradients,) = torch.autograd.grad(model(inputs).sum(), inputs)
    assert gradients.dtype == torch.bfloat16
    assert float(gradients[0, 0, 31, 31]) == 1024


class _Derived(nn.Conv2d):
    """A class of one's own, which may do anything."""


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(5, 8, 3),
        nn.Conv2d(4, 8, 3, groups=2),
        nn.Conv2d(3, 8, 3, dilation=2),
        nn.Conv2d(3, 8, 3, dilation=(1, 2)),
        nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 8, 3, padding="same"),
        nn.Conv1d(3, 8, 3),
        nn.ConvTranspose2d(3, 8, 3),
        nn.Linear(3, 8),
        _Derived(3, 8, 3),
    ],
)
def test_other_layers_are_not_replaced(layer: nn.Module) -> None:
    before = type(layer)
    assert not replace_narrow_convolutions(nn.Sequential(layer))
    assert type(layer) is before


def test_every_narrow_convolution_is_replaced_and_no_other() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 8, 3), nn.Conv2d(8, 2, 3))
    assert replace_narrow_convolutions(model)
    assert [type(layer) for layer in model] == [NarrowConvolution, NarrowConvolution, nn.Conv2d]


def test_hooks_and_other_readers_of_a_narrow_convolution_still_work() -> None:
    class Reads(Residual):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs) + self.stem.weight.sum() + self.stem.stride[0]

    model = network(Reads)
    model.get_submodule("stem").register_forward_hook(lambda _, __, result: result.clamp(-0.1, 0.1))
    expected = model(example())
    assert replace_narrow_convolutions(model)
    assert torch.equal(model(example()), expected)
