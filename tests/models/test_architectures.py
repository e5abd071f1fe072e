"""Networks built from a spec: this package's own, those of libraries and of users."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from minnorm.errors import InputError, MissingLibraryError
from minnorm.models import (
    ARCHITECTURES,
    Normalized,
    SmallCNN,
    WideResNet,
    build,
    network_of,
)
from models.parameter_counts import count, wide_resnet_parameters
from user_modules import write_module


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ("mnist_cnn", (1, 28, 28)),
        ("cifar10_cnn", (3, 32, 32)),
        ("wide_resnet(depth=10, width=1)", (3, 8, 8)),
    ],
)
def test_samples_are_independent_in_evaluation_mode_and_dropout_works_in_training_mode(
    spec: str, shape: tuple[int, ...]
) -> None:
    model, inputs = build(spec).double(), torch.rand(4, *shape, dtype=torch.float64)
    assert not torch.allclose(model(inputs), model(inputs), rtol=1e-9)
    model.eval()
    torch.testing.assert_close(model(inputs)[[2]], model(inputs[[2]]))


def test_network_of_returns_the_model_inside_a_normalized() -> None:
    inner = nn.Linear(2, 2)
    assert network_of(Normalized(inner, [0.0], [1.0])) is inner
    assert network_of(inner) is inner


@pytest.mark.parametrize(
    ("spec", "kind", "parameters"),
    [
        ("mnist_cnn", SmallCNN, 312_202),
        ("cifar10_cnn(dropout=0.1)", SmallCNN, 1_147_978),
        (
            "wide_resnet(depth=10, width=1, classes=3)",
            WideResNet,
            wide_resnet_parameters(10, 1, 3),
        ),
    ],
)
def test_an_architecture_is_built_by_its_spec(spec: str, kind: type, parameters: int) -> None:
    model = build(spec)
    assert isinstance(model, kind)
    assert count(model) == parameters


def test_arguments_reach_the_architecture() -> None:
    dropouts = [m.p for m in build("mnist_cnn(dropout=0.1)").modules() if isinstance(m, nn.Dropout)]
    assert dropouts == [0.1]


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_mean_and_std_wrap_any_architecture_in_a_normalized(name: str) -> None:
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
    """Make the module `network_factories` importable from the current folder."""
    write_module("network_factories", FACTORIES, tmp_path, monkeypatch)


@pytest.mark.usefixtures("factories")
def test_a_factory_returns_a_network() -> None:
    assert build("network_factories:linear(features=8)")(torch.rand(2, 8)).shape == (2, 3)
    assert isinstance(build("network_factories:linear(mean=[0.0], std=[1.0])"), Normalized)


@pytest.mark.usefixtures("factories")
def test_a_factory_that_returns_no_module_is_refused() -> None:
    with pytest.raises(InputError, match=r"returned a function; expected a torch\.nn\.Module"):
        build("network_factories:function")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnist_cnm", "unknown architecture 'mnist_cnm'. Did you mean 'mnist_cnn'?"),
        ("mnist_cnn(droput=0.1)", "unknown parameter 'droput' of mnist_cnn. Did you mean"),
        ("mnist_cnn[:3]", "'mnist_cnn[:3]': an architecture has no slice, remove it."),
        ("mnist_cnn(mean=[0.1])", "'mnist_cnn(mean=[0.1])': write both mean and std, or neither."),
        ("mnist_cnn(std=[0.1])", "write both mean and std, or neither."),
        ("mnist_cnn(mean=0.1, std=0)", "std=0: expected numbers above 0"),
        ("mnist_cnn(mean=['a'], std=['b'])", "mean=['a']: expected a finite number, or a list"),
        ("mnist_cnn(dropout='much')", "cannot be built: "),
        ("mine.py:net", "'mine.py:net' names a file. Did you mean 'mine:net'?"),
        ("./src/mine.py:net", "Did you mean 'src.mine:net'?"),
        ("wide_resnet(depth=27)", "depth=27, width=10: expected a depth of 6n + 4"),
        ("torchvision:resnet19", "unknown torchvision model 'resnet19'. Did you mean 'resnet18'?"),
        ("torchvision:raft_small", "torchvision:raft_small does not classify images: expected"),
        ("torchvision:resnet18(size=3)", "'torchvision:resnet18(size=3)' cannot be built: "),
        ("timm:resnet19", "unknown timm model 'resnet19'. Did you mean 'resnet18'?"),
        ("timm:resnet18(size=3)", "'timm:resnet18(size=3)' cannot be built: "),
    ],
)
def test_a_spec_that_cannot_be_built_is_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        build(spec)


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: dict[str, Any] = {"torchvision": None, "timm": None}
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    for scheme in missing:
        with pytest.raises(
            MissingLibraryError, match=rf"{scheme} is needed: pip install 'minnorm\[vision\]"
        ):
            build(f"{scheme}:resnet18")
