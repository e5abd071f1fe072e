"""Wide residual networks: their size, their shapes and the depths that exist."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minnorm.errors import InputError
from minnorm.models import WideResNet, wide_resnet
from models.parameter_counts import count, wide_resnet_parameters


def test_the_paper_s_wide_resnet_has_the_published_size() -> None:
    with torch.device("meta"):
        model = wide_resnet()
    assert count(model) == 36_479_194
    assert wide_resnet_parameters(28, 10, 10) == 36_479_194


@given(st.integers(1, 6), st.integers(1, 12), st.integers(2, 20))
def test_a_wide_resnet_has_its_formula_s_count(n: int, width: int, classes: int) -> None:
    with torch.device("meta"):
        model = WideResNet(depth=6 * n + 4, width=width, classes=classes)
    # At width 1 the first group keeps its channels: no shortcut has weights there.
    assert count(model) == wide_resnet_parameters(6 * n + 4, width, classes)


@pytest.mark.parametrize("size", [8, 32, 33])
def test_a_wide_resnet_takes_images_of_any_size(size: int) -> None:
    model = WideResNet(depth=10, width=1, classes=7, channels=1).eval()
    assert model(torch.rand(2, 1, size, size)).shape == (2, 7)


def test_a_wide_resnet_has_as_many_convolutions_as_its_depth_says() -> None:
    convolutions = [
        module
        for module in wide_resnet(depth=16, width=2).modules()
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    ]
    # The three shortcuts and the head make the depth 6n + 4.
    assert len(convolutions) + 3 == 16


@pytest.mark.parametrize(("depth", "width"), [(27, 10), (4, 1), (-2, 1), (0, 1), (28, 0)])
def test_a_wide_resnet_of_another_depth_or_width_is_refused(depth: int, width: int) -> None:
    message = f"depth={depth}, width={width}: expected a depth of 6n + 4 (10, 16, 22"
    with pytest.raises(InputError, match=re.escape(message)):
        wide_resnet(depth=depth, width=width)
