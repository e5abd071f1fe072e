"""The small networks: their size, their shapes and their dropout."""

import pytest
import torch

from minnorm.models import SmallCNN, cifar10_cnn, mnist_cnn
from models.parameter_counts import count, small_cnn_parameters


def test_the_mnist_network_has_the_paper_s_size() -> None:
    assert count(mnist_cnn()) == 312_202
    assert small_cnn_parameters(1, 28, (32, 64), 200, 10) == 312_202
    assert mnist_cnn().eval()(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_the_cifar10_network_has_the_paper_s_size() -> None:
    assert count(cifar10_cnn()) == 1_147_978
    assert small_cnn_parameters(3, 32, (64, 128), 256, 10) == 1_147_978
    assert cifar10_cnn().eval()(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("size", [16, 17, 19, 24])
def test_a_small_cnn_of_any_size_has_its_formula_s_count(size: int) -> None:
    model = SmallCNN(channels=2, size=size, widths=(3, 5), hidden=7, classes=4)
    assert count(model) == small_cnn_parameters(2, size, (3, 5), 7, 4)
    assert model.eval()(torch.rand(3, 2, size, size)).shape == (3, 4)
