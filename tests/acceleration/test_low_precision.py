"""Classifiers in bfloat16 whose first layer computes in float32."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from acceleration.small_networks import example, network
from minnorm.acceleration.low_precision import Wrap, autocast, in_bfloat16
from minnorm.logits import Model
from minnorm.models import Normalized

Technique = Callable[[nn.Module, Wrap, Tensor], Model]

BOTH = pytest.mark.parametrize("technique", [autocast, in_bfloat16])


def _unwrapped(module: nn.Module) -> Model:
    return module


def _coarse(technique: Technique, model: nn.Module, inputs: Tensor) -> Model:
    return technique(copy.deepcopy(model), _unwrapped, inputs)


@BOTH
def test_logits_are_nearly_the_same_and_in_the_dtype_of_the_inputs(technique: Technique) -> None:
    model = network()
    coarse = _coarse(technique, model, example())
    logits, expected = coarse(example(5)), model(example(5))
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, expected)
    assert torch.allclose(logits, expected, rtol=0, atol=0.05)


@BOTH
def test_the_classifier_is_made_by_the_wrapper(technique: Technique) -> None:
    wrapped: list[nn.Module] = []

    def wrap(module: nn.Module) -> Model:
        wrapped.append(module)
        return lambda inputs: module(inputs) + 1

    model = network()
    coarse = technique(copy.deepcopy(model), wrap, example())
    assert len(wrapped) == 1
    assert torch.allclose(coarse(example()), model(example()) + 1, rtol=0, atol=0.05)


SEEN: list[tuple[torch.dtype, torch.dtype]] = []
EXPECTED = [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16)]


class Seeing(nn.Conv2d):
    """A convolution that notes in which precision it computes; a copy notes it too."""

    def forward(self, inputs: Tensor) -> Tensor:
        result = super().forward(inputs)
        SEEN.append((inputs.dtype, result.dtype))
        return result


@BOTH
def test_the_first_layer_and_what_is_before_it_compute_in_float32(technique: Technique) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(Seeing(3, 4, 3), nn.ReLU(), Seeing(4, 4, 3), nn.Flatten())
    model = Normalized(layers, mean=[0.3, 0.4, 0.5], std=[0.2, 0.3, 0.4]).eval()
    coarse = _coarse(technique, model, example())
    SEEN.clear()
    logits = coarse(example())
    assert SEEN == EXPECTED
    # So the mean and the standard deviation are those of the original.
    assert torch.allclose(logits, model(example()), rtol=0, atol=0.02)


class FirstInForward(nn.Module):
    """Calls its layers in another order than the one in which they are registered."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(3, 3)
        self.second = Seeing(4, 4, 3)
        self.first = Seeing(3, 4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(inputs)).flatten(1)
        return result


@BOTH
def test_the_first_layer_is_the_one_that_is_called_first(technique: Technique) -> None:
    torch.manual_seed(0)
    coarse = _coarse(technique, FirstInForward().eval(), example())
    SEEN.clear()
    coarse(example())
    assert SEEN == EXPECTED


def test_weights_after_the_first_layer_are_bfloat16_and_integers_stay() -> None:
    torch.manual_seed(0)
    module = FirstInForward().eval()
    module.second.register_buffer("count", torch.tensor(3))
    in_bfloat16(module, _unwrapped, example())
    dtypes = {name: tensor.dtype for name, tensor in module.state_dict().items()}
    for name, dtype in dtypes.items():
        first = name.startswith("first.")
        expected = torch.float32 if first else torch.bfloat16
        assert dtype == (torch.int64 if name.endswith("count") else expected), name


class Scaled(nn.Conv2d):
    """A convolution that reads a part of its own without calling it."""

    def __init__(self) -> None:
        super().__init__(3, 4, 3)
        self.scale = nn.Linear(4, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.conv2d(inputs, self.weight * self.scale.weight.view(4, 1, 1, 1))


@pytest.mark.parametrize(
    "layer", [Scaled, lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 3))]
)
@BOTH
def test_the_parts_of_the_first_layer_stay_in_float32(
    technique: Technique, layer: Callable[[], nn.Module]
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(layer(), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten()).eval()
    module = copy.deepcopy(model)
    coarse = technique(module, _unwrapped, example())
    first = module.get_submodule("0")
    assert {tensor.dtype for tensor in first.state_dict().values()} == {torch.float32}
    assert torch.allclose(coarse(example()), model(example()), rtol=0, atol=0.05)


class Direct(nn.Module):
    """Uses the weights of its first layer without ever calling that layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, 4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.conv2d(inputs, self.first.weight, self.first.bias)
        result: Tensor = self.second(hidden).flatten(1)
        return result


def test_a_layer_that_is_read_but_never_called_becomes_bfloat16_and_fails() -> None:
    torch.manual_seed(0)
    coarse = in_bfloat16(Direct().eval(), _unwrapped, example())
    with pytest.raises(RuntimeError, match="should be the same"):
        coarse(example())


class Product(nn.Module):
    """A module without layers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight


@BOTH
@pytest.mark.parametrize("kind", [Product, lambda: nn.Linear(4, 3)], ids=["no layer", "a layer"])
def test_without_a_layer_inside_the_whole_module_is_in_low_precision(
    technique: Technique, kind: Callable[[], nn.Module]
) -> None:
    torch.manual_seed(0)
    inputs = torch.rand(5, 4)
    logits = technique(kind(), _unwrapped, inputs)(inputs)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, logits.bfloat16().float())


@BOTH
def test_no_hook_is_left_and_gradients_reach_the_inputs(technique: Technique) -> None:
    module = network().requires_grad_(False)
    coarse = technique(module, _unwrapped, example())
    assert not any(part._forward_pre_hooks for part in module.modules())
    inputs = example().requires_grad_()
    (gradients,) = torch.autograd.grad(coarse(inputs).sum(), inputs)
    assert gradients.dtype == torch.float32
    assert gradients.any()


@BOTH
def test_no_hook_is_left_when_the_module_fails(technique: Technique) -> None:
    module = network()
    with pytest.raises(RuntimeError):
        technique(module, _unwrapped, example()[:, :2])
    assert not any(part._forward_pre_hooks for part in module.modules())


@BOTH
def test_one_sample_is_enough_to_find_the_first_layer(technique: Technique) -> None:
    sizes: list[int] = []
    module = network()
    handle = module.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    technique(module, _unwrapped, example())
    handle.remove()
    assert sizes == [1]
