"""The batch size: as large as makes gradients faster, and as fits into memory."""

import math

import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from minnorm.acceleration import Accelerated, batch_size, choose_batch_size
from minnorm.logits import Model


def _measured_as(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> list[int]:
    """Replace the measurement by these seconds of each size; return the sizes that are tried."""
    tried: list[int] = []

    def measured(model: object, example: Tensor, size: int) -> float:  # noqa: ARG001
        tried.append(size)
        return seconds[size]

    monkeypatch.setattr(batch_size, "_seconds", measured)
    return tried


@pytest.mark.parametrize(
    ("seconds", "most", "expected"),
    [
        ({32: 1e-3, 64: 1e-3, 128: 1e-3, 256: 2e-3}, 1000, 128),  # no gain beyond 128
        ({32: 1e-3, 64: 3e-3}, 1000, 32),
        ({32: 1.0, 64: 1.9, 128: 1.0}, 64, 64),  # a gain of 1.053
        ({32: 1.0, 64: 1.91}, 1000, 32),  # a gain of 1.047
        ({32: 1e-3, 64: 1e-3}, 100, 64),  # there are no more samples
        ({32: 3.0}, 1000, 32),  # slow
        ({32: 1.01}, 1000, 32),  # twice as many would be slow
        ({7: 1e-3}, 7, 7),
        ({32: 1e-3, 64: math.inf}, 1000, 32),  # does not fit
        ({32: math.inf, 16: math.inf, 8: 1e-3}, 1000, 8),
        ({32: math.inf, 16: 1e-3}, 1000, 16),  # 32 is known not to fit
        ({2: math.inf, 1: math.inf}, 2, 1),
    ],
)
def test_the_size_doubles_as_long_as_that_gains_enough(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], most: int, expected: int
) -> None:
    model, inputs, _ = problem((1, 4, 4))
    tried = _measured_as(monkeypatch, seconds)
    chosen = choose_batch_size(model, inputs, most=most, memory=1e9)
    assert (chosen, type(chosen)) == (expected, int)
    assert tried == [size for size in seconds if size <= most]


def test_the_size_stays_within_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs, _ = problem((1, 4, 4))
    _measured_as(monkeypatch, dict.fromkeys((1, 10, 32, 64), 1e-3))
    one = batch_size._bytes_per_sample(model, inputs[:1])
    for available, expected in ((0, 1), (10.5 * one, 10), (70 * one, 64)):
        assert choose_batch_size(model, inputs, most=1000, memory=available) == expected


def test_the_memory_of_a_sample_is_what_is_saved_and_the_state_of_an_attack() -> None:
    def model(inputs: Tensor) -> Tensor:
        return inputs.square().repeat(1, 5)

    sample = torch.rand(1, 3)
    # The 3 inputs, and for the largest logit the 15 logits and itself, of 4 bytes each.
    assert batch_size._bytes_saved(model, sample) == 4 * (3 + 15 + 1)
    saved = 2 * 4 * (3 + 15 + 1)
    assert batch_size._bytes_per_sample(model, sample) == saved + 64 * 12
    double = sample.double()
    assert batch_size._bytes_per_sample(model, double) == 2 * (saved + 64 * 12)


def test_a_model_that_saves_nothing_takes_the_state_of_an_attack_alone() -> None:
    def model(inputs: Tensor) -> Tensor:
        return torch.ones(len(inputs), 5)

    assert batch_size._bytes_per_sample(model, torch.rand(1, 3)) == 64 * 12


def test_a_tensor_that_is_saved_twice_takes_memory_once() -> None:
    def model(inputs: Tensor) -> Tensor:
        return inputs.square() + inputs.sin()

    # The 3 inputs, saved by both functions, the 3 logits, and the largest one.
    assert batch_size._bytes_saved(model, torch.rand(1, 3)) == 4 * (3 + 3 + 1)


def test_real_gradients_are_measured_even_in_inference_mode() -> None:
    model, inputs, _ = problem((1, 4, 4))
    backwards = []

    def counted(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        if logits.requires_grad:
            backwards.append(len(given))
        return logits

    with torch.inference_mode():
        chosen = choose_batch_size(counted, inputs, most=5000, memory=1e9)
    assert {1, 2, 32} <= set(backwards)
    assert chosen in backwards


@pytest.mark.parametrize("with_coarse", [True, False])
def test_the_fastest_classifier_is_measured_and_the_exact_one_has_to_fit(
    with_coarse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, inputs, _ = problem((1, 4, 4))

    def greedy(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits + 0 * given.repeat(1, 100, 1, 1).square().mean((1, 2, 3))[:, None]

    measured: list[Model] = []

    def seconds(model: Model, example: Tensor, size: int) -> float:  # noqa: ARG001
        measured.append(model)
        return 1e-3

    monkeypatch.setattr(batch_size, "_seconds", seconds)
    fast = Accelerated(model, greedy, model if with_coarse else None, "used", ())
    available = 50 * batch_size._bytes_per_sample(greedy, inputs[:1])
    assert choose_batch_size(fast, inputs, most=1000, memory=available) == 32
    assert measured
    assert all(one is (model if with_coarse else greedy) for one in measured)
    assert choose_batch_size(model, inputs, most=1000, memory=available) > 50
