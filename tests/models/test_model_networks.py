"""The project's own networks: their size and shapes, and how they are built from specs."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minnorm.models import (
    ARCHITECTURES,
    Normalized,
    SmallCNN,
    WideResNet,
    build,
    cifar10_cnn,
    mnist_cnn,
    network_of,
    wide_resnet,
)


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _small_cnn_parameters(
    channels: int, size: int, widths: tuple[int, int], hidden: int, classes: int
) -> int:
    """Counts weights and biases layer by layer, following the side of the image."""
    count, depth, side = 0, channels, size
    for width in widths:
        for _ in range(2):
            count += width * (9 * depth + 1)
            depth, side = width, side - 2
        side //= 2
    units = depth * side**2
    for width in (hidden, hidden, classes):
        count += width * (units + 1)
        units = width
    return count


def _wide_resnet_parameters(depth: int, width: int, classes: int) -> int:
    """Counts by the table of the paper: stem, three groups of blocks, batch norm, head."""
    blocks, count, channels = (depth - 4) // 6, 3 * 16 * 9, 16
    for planes in (16 * width, 32 * width, 64 * width):
        for _ in range(blocks):
            count += 2 * channels + 9 * channels * planes  # batch norm, convolution
            count += 2 * planes + 9 * planes * planes  # batch norm, convolution
            count += channels * planes if channels != planes else 0  # 1x1 shortcut
            channels = planes
    return count + 2 * channels + classes * (channels + 1)


def test_the_mnist_network_has_the_paper_s_size() -> None:
    assert _count(mnist_cnn()) == 312_202
    assert _small_cnn_parameters(1, 28, (32, 64), 200, 10) == 312_202
    assert mnist_cnn().eval()(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_the_cifar10_network_has_the_paper_s_size() -> None:
    assert _count(cifar10_cnn()) == 1_147_978
    assert _small_cnn_parameters(3, 32, (64, 128), 256, 10) == 1_147_978
    assert cifar10_cnn().eval()(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("size", [16, 17, 19, 24])
def test_a_small_cnn_of_any_size_has_its_formula_s_count(size: int) -> None:
    model = SmallCNN(channels=2, size=size, widths=(3, 5), hidden=7, classes=4)
    assert _count(model) == _small_cnn_parameters(2, size, (3, 5), 7, 4)
    assert model.eval()(torch.rand(3, 2, size, size)).shape == (3, 4)


def test_the_paper_s_wide_resnet_has_the_published_size() -> None:
    with torch.device("meta"):
        model = wide_resnet()
    assert _count(model) == 36_479_194
    assert _wide_resnet_parameters(28, 10, 10) == 36_479_194


@given(st.integers(1, 6), st.integers(1, 12), st.integers(2, 20))
def test_a_wide_resnet_has_its_formula_s_count(n: int, width: int, classes: int) -> None:
    with torch.device("meta"):
        model = WideResNet(depth=6 * n + 4, width=width, classes=classes)
    # At width 1 the first group keeps its channels: no shortcut has weights there.
    assert _count(model) == _wide_resnet_parameters(6 * n + 4, width, classes)


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
    with pytest.raises(ValueError, match=re.escape(message)):
        wide_resnet(depth=depth, width=width)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ("mnist_cnn", (1, 28, 28)),
        ("cifar10_cnn", (3, 32, 32)),
        ("wide_resnet(depth=10, width=1)", (3, 8, 8)),
    ],
)
def test_samples_are_independent_in_evaluation_and_dropped_out_in_training(
    spec: str, shape: tuple[int, ...]
) -> None:
    model, inputs = build(spec).double(), torch.rand(4, *shape, dtype=torch.float64)
    assert not torch.allclose(model(inputs), model(inputs), rtol=1e-9)
    model.eval()
    torch.testing.assert_close(model(inputs)[[2]], model(inputs[[2]]))


def test_normalized_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    inputs = torch.rand(2, 3, 4, 5)
    expected = (inputs.numpy() - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    found = Normalized(nn.Identity(), mean, std)(inputs)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 7), (2, 3, 2, 2, 2), (0, 3, 4, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalized_takes_inputs_with_any_dimensions(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    inputs = torch.ones(shape, dtype=dtype)
    found = Normalized(nn.Identity(), [1, 0, 0.5], [1, 2, 0.5]).to(dtype)(inputs)
    expected = torch.tensor([0, 0.5, 1], dtype=dtype).view(1, 3, *(1,) * (len(shape) - 2))
    assert found.equal(expected.expand(shape))


def test_normalized_adds_nothing_to_the_weights() -> None:
    model = Normalized(nn.Linear(3, 2), [0.5] * 3, [0.5] * 3)
    assert set(model.state_dict()) == {"model.weight", "model.bias"}
    assert model.to(torch.float64).mean.dtype == torch.float64


@pytest.mark.parametrize(
    ("mean", "std"), [([], []), ([0.5], [0.5, 0.5]), ([0.5], [0.0]), ([0.5, 0.5], [1, -1])]
)
def test_normalized_refuses_numbers_of_another_kind(mean: list[float], std: list[float]) -> None:
    message = f"mean={mean}, std={std}: expected a list with one number for each channel"
    with pytest.raises(ValueError, match=re.escape(message)):
        Normalized(nn.Identity(), mean, std)


def test_network_of_is_what_a_normalized_holds() -> None:
    inner = nn.Linear(2, 2)
    assert network_of(Normalized(inner, [0.0], [1.0])) is inner
    assert network_of(inner) is inner


@pytest.mark.parametrize(
    ("spec", "kind", "count"),
    [
        ("mnist_cnn", SmallCNN, 312_202),
        ("cifar10_cnn(dropout=0.1)", SmallCNN, 1_147_978),
        (
            "wide_resnet(depth=10, width=1, classes=3)",
            WideResNet,
            _wide_resnet_parameters(10, 1, 3),
        ),
    ],
)
def test_an_architecture_is_built_by_its_spec(spec: str, kind: type, count: int) -> None:
    model = build(spec)
    assert isinstance(model, kind)
    assert _count(model) == count


def test_arguments_reach_the_architecture() -> None:
    dropouts = [m.p for m in build("mnist_cnn(dropout=0.1)").modules() if isinstance(m, nn.Dropout)]
    assert dropouts == [0.1]


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_mean_and_std_put_a_normalized_around_any_architecture(name: str) -> None:
    model = build(f"{name}(mean=[0.5], std=[0.25])")
    assert isinstance(model, Normalized)
    assert (model.mean.tolist(), model.std.tolist()) == ([0.5], [0.25])


def test_torchvision_and_timm_networks_are_built_without_their_weights() -> None:
    inputs = torch.rand(1, 3, 32, 32)
    for spec in (
        "torchvision:shufflenet_v2_x0_5(num_classes=5)",
        "timm:mnasnet_050(num_classes=5)",
    ):
        assert build(spec).eval()(inputs).shape == (1, 5)


FACTORIES = """
from torch import nn
def linear(features=4): return nn.Sequential(nn.Flatten(), nn.Linear(features, 3))
def function(): return lambda inputs: inputs
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the module `network_factories` importable from the current folder."""
    (tmp_path / "network_factories.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "network_factories", raising=False)


@pytest.mark.usefixtures("factories")
def test_a_factory_gives_a_network() -> None:
    assert build("network_factories:linear(features=8)")(torch.rand(2, 8)).shape == (2, 3)
    assert isinstance(build("network_factories:linear(mean=[0.0], std=[1.0])"), Normalized)


@pytest.mark.usefixtures("factories")
def test_a_factory_that_gives_no_module_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gave a function; expected a torch\.nn\.Module"):
        build("network_factories:function")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnist_cnm", "there is no architecture 'mnist_cnm'. Did you mean 'mnist_cnn'?"),
        ("mnist_cnn(droput=0.1)", "there is no parameter of mnist_cnn 'droput'. Did you mean"),
        ("mnist_cnn[:3]", "'mnist_cnn[:3]': an architecture has no slice."),
        ("mnist_cnn(mean=[0.1])", "'mnist_cnn(mean=[0.1])': mean and std are given together"),
        ("mnist_cnn(std=[0.1])", "mean and std are given together or not at all."),
        ("mnist_cnn(mean=0.1, std=0.3)", "mean"),
        ("mnist_cnn(mean=['a'], std=['b'])", "mean"),
        ("mnist_cnn(dropout='much')", "cannot be built: "),
        ("wide_resnet(depth=27)", "depth=27, width=10: expected a depth of 6n + 4"),
        ("torchvision:resnet19", "resnet19"),
        ("torchvision:resnet18(size=3)", "'torchvision:resnet18(size=3)' cannot be built: "),
        ("timm:resnet19", "'timm:resnet19' cannot be built: RuntimeError: Unknown model"),
        ("timm:resnet18(size=3)", "'timm:resnet18(size=3)' cannot be built: "),
    ],
)
def test_a_spec_that_builds_nothing_is_refused(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build(spec)


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: dict[str, Any] = {"torchvision": None, "timm": None}
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    for scheme in missing:
        with pytest.raises(
            ImportError, match=rf"{scheme} is needed: pip install 'minnorm\[vision\]"
        ):
            build(f"{scheme}:resnet18")


def test_normalized_says_how_many_channels_it_expects() -> None:
    model = Normalized(nn.Flatten(), [0.5, 0.5, 0.5], [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"shape \[2, 1, 4, 4\]; expected 3 channels"):
        model(torch.zeros(2, 1, 4, 4))
    one_for_all = Normalized(nn.Flatten(), [0.5], [2.0])
    assert torch.equal(one_for_all(torch.ones(2, 3, 4, 4)), torch.full((2, 48), 0.25))


@pytest.mark.parametrize("training", [False, True])
def test_normalized_is_in_the_mode_of_its_model(training: bool) -> None:
    assert Normalized(nn.Linear(3, 2).train(training), [0.5], [0.5]).training == training
