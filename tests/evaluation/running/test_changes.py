"""Changes of the model by an attack: every one is found, and rounding and randomness are none."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attacks.networks import problem
from evaluation.judging import judge, returning
from minnorm.attacks import AttackResult, Model
from minnorm.errors import InputError
from minnorm.evaluation.running.changes import state_of, was_changed


def network() -> nn.Sequential:
    """Return a small network in evaluation mode; always the same one."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()


def as_function(net: nn.Module) -> Model:
    """Return a function that calls a module."""

    def classify(inputs: Tensor, /) -> Tensor:
        logits: Tensor = net(inputs)
        return logits

    return classify


def _swap_layer(net: nn.Sequential) -> None:
    net[2] = nn.Softplus(beta=3).eval()


def _swap_equal_layer(net: nn.Sequential) -> None:
    net[2] = nn.ReLU().eval()


def _set_data(net: nn.Module) -> None:
    for parameter in net.parameters():
        parameter.data.mul_(-1)


def _swap_parameter(net: nn.Sequential) -> None:
    net[3].weight = nn.Parameter(net.state_dict()["3.weight"].clone())


def _hook(net: nn.Sequential) -> None:
    net[0].register_forward_hook(lambda *given: given[2] + 0.5)


def _hook_of_gradients(net: nn.Sequential) -> None:
    net[0].register_full_backward_hook(lambda *_: None)


def _set_statistics(net: nn.Sequential) -> None:
    net.train()
    net(torch.full((4, 6), 0.9))
    net.eval()


def _set_attribute(net: nn.Sequential) -> None:
    layer = net[1]
    assert isinstance(layer, nn.BatchNorm1d)
    layer.eps = 10.0


CHANGES: list[Callable[[nn.Sequential], None]] = [
    _swap_layer, _swap_equal_layer, _set_data, _swap_parameter, _hook, _hook_of_gradients,
    _set_statistics, _set_attribute,
]  # fmt: skip
OF_LOGITS = [_swap_layer, _set_data, _hook, _set_statistics, _set_attribute]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_module_is_found(change: Callable[[nn.Sequential], None]) -> None:
    net, inputs = network(), torch.rand(20, 6)
    before = state_of(net, inputs)
    assert not was_changed(net, before)
    change(net)
    assert was_changed(net, before)


@pytest.mark.parametrize("change", OF_LOGITS)
def test_a_change_inside_a_function_is_found(change: Callable[[nn.Sequential], None]) -> None:
    net, inputs = network(), torch.rand(20, 6)
    before = state_of(as_function(net), inputs)
    assert not was_changed(as_function(net), before)
    change(net)
    assert was_changed(as_function(net), before)


def test_an_attack_that_changes_a_function_is_refused() -> None:
    model, inputs, labels = problem((4,))
    points = returning(inputs)

    def attack(given: Model, inputs: Tensor, labels: Tensor, /, **_: Any) -> AttackResult:
        _set_data(model)
        return points(given, inputs, labels)

    with pytest.raises(InputError, match=r"test changed the model: .* or its logits of the same"):
        judge(attack, as_function(model), inputs, labels)


class Counting(nn.Module):
    """A model that counts its calls, and makes a new tensor in each."""

    calls: Tensor
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(3))

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        self.last = inputs[0].detach().clone()
        return inputs


def test_what_each_call_changes_is_no_change() -> None:
    model = Counting().eval()
    before = state_of(model, torch.rand(20, 3))
    for _ in range(3):
        model(torch.rand(5, 3))
    assert not was_changed(model, before)
    model.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("constant", [0.0, -1e9])
def test_rounding_is_no_change(dtype: torch.dtype, constant: float) -> None:
    noise = 0.0

    def model(inputs: Tensor) -> Tensor:
        logits = torch.stack([inputs[:, 0] + noise, inputs[:, 1], inputs[:, 2] + constant], dim=1)
        return logits.to(dtype)

    before = state_of(model, torch.rand(20, 3))
    noise = 100 * torch.finfo(torch.float32).eps
    assert not was_changed(model, before)
    noise = 0.5
    assert was_changed(model, before)


def test_randomness_is_no_change() -> None:
    def model(inputs: Tensor) -> Tensor:
        return inputs + torch.rand(3)

    before = state_of(model, torch.rand(20, 3))
    assert not was_changed(model, before)


def test_few_samples_are_evaluated() -> None:
    sizes = []

    def model(inputs: Tensor) -> Tensor:
        sizes.append(len(inputs))
        return inputs

    assert not was_changed(model, state_of(model, torch.rand(100, 3)))
    assert sizes == [8, 8]
