"""The code of a model: what is noticed of it beside its weights, and what changes by itself."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from evaluation.tiny_models import Centered
from minnorm.evaluation.preparation.model_code import fingerprint_of_code
from minnorm.models import averaged, binary, load_model, predict_only, straight_through

INPUTS = torch.rand(3, 784)


class Strength:
    """An object with a number."""

    def __init__(self, value: float) -> None:
        self.value = value


class Filter(nn.Module):
    """A network with settings that its printed form does not show, and with a cache."""

    def __init__(self, value: float = 0.5) -> None:
        super().__init__()
        self.network = Centered()
        self.value = value
        self.table = torch.full((2,), value)
        self.numbers = {"a": [value, np.array([value])]}
        self.strength = Strength(value)
        self.unregistered = [nn.Linear(1, 1)]
        nn.init.constant_(self.unregistered[0].weight, value)
        nn.init.zeros_(self.unregistered[0].bias)
        self.device = torch.device("cpu")
        self.calls = 0
        self.cache: dict[int, Tensor] = {}

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        self.cache[len(inputs)] = inputs
        self.remembered = inputs.shape
        logits: Tensor = self.network(inputs) * self.value
        return logits


def scaled(factor: float) -> Callable[[Tensor], Tensor]:
    network = Centered().eval()
    return lambda inputs: network(inputs) * factor


def changes() -> list[Callable[[Filter], object]]:
    return [
        lambda model: setattr(model, "value", 0.6),
        lambda model: model.table.zero_(),
        lambda model: model.numbers["a"][1].fill(0),
        lambda model: setattr(model.strength, "value", 0.6),
        lambda model: nn.init.zeros_(model.unregistered[0].weight),
    ]


@pytest.mark.parametrize("change", changes())
def test_settings_of_modules_are_noticed(change: Callable[[Filter], object]) -> None:
    model = Filter().eval()
    change(model)
    assert fingerprint_of_code(model) != fingerprint_of_code(Filter().eval())
    wrapped = [fingerprint_of_code(nn.Sequential(one)) for one in (model, Filter().eval())]
    assert wrapped[0] != wrapped[1]


@pytest.mark.parametrize(
    "make",
    [
        scaled,
        lambda factor: predict_only(scaled(factor), arrays=False),
        lambda factor: predict_only(lambda inputs: inputs * factor),
        lambda factor: binary(lambda inputs: inputs[:, :1] * factor),
        lambda factor: nn.Sequential(straight_through(lambda inputs: inputs * factor), Centered()),
        lambda factor: averaged(scaled(factor)),
    ],
)
def test_functions_and_what_they_hold_are_noticed(make: Callable[[float], Any]) -> None:
    assert fingerprint_of_code(make(1.0)) == fingerprint_of_code(make(1.0))
    assert fingerprint_of_code(make(1.0)) != fingerprint_of_code(make(1.1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Filter().eval(),
        lambda: nn.Sequential(Filter(), nn.Linear(10, 10)).eval(),
        lambda: predict_only(Filter().eval()),
        lambda: nn.Sequential(nn.Unflatten(1, (1, 28, 28)), load_model("zoo:mnist-cnn")).eval(),
    ],
)
def test_using_moving_and_copying_a_model_is_no_change(make: Callable[[], nn.Module]) -> None:
    model = make()
    before = fingerprint_of_code(model)
    with torch.no_grad():
        model(INPUTS)
        model(INPUTS[:1])
    assert fingerprint_of_code(model) == before
    copied = copy.deepcopy(model)
    copied.train().eval().double().float().requires_grad_(False)
    assert fingerprint_of_code(copied) == before
    if not hasattr(model, "access"):
        assert fingerprint_of_code(pickle.loads(pickle.dumps(model))) == before  # noqa: S301


def test_networks_of_libraries_are_known_by_their_weights_and_structure_alone() -> None:
    plain = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert fingerprint_of_code(plain) == fingerprint_of_code(load_model("zoo:mnist-cnn"))


def test_what_is_nested_too_deeply_has_a_fingerprint() -> None:
    nested: list[Any] = []
    for _ in range(5000):
        nested = [nested]
    model = Filter()
    model.deep = nested  # type: ignore[assignment]
    assert fingerprint_of_code(model)


def test_code_that_would_take_long_to_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (Filter(value).eval() for value in (0.5, 0.6))
    assert fingerprint_of_code(one) != fingerprint_of_code(other)
    monkeypatch.setattr("minnorm.evaluation.preparation.model_code._MOST_OBJECTS", 3)
    assert fingerprint_of_code(one) == fingerprint_of_code(other)
