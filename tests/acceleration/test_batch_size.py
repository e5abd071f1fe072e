"""The batch size: as large as makes gradients faster, and as fits into memory."""

import math

import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from minnorm.acceleration import (
    Accelerated,
    batch_size,
    choose_batch_size,
    fitting_batch_size,
    measurable_batch_size,
    querying_batch_size,
    usual_batch_size,
)
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
        ({32: 0.1, 64: 0.1, 128: 0.1, 256: 0.2}, 1000, 128),  # no gain beyond 128
        ({32: 0.1, 64: 0.3}, 1000, 32),
        ({32: 1.0, 64: 1.9, 128: 1.0}, 64, 64),  # a gain of 1.053
        ({32: 1.0, 64: 1.91}, 1000, 32),  # a gain of 1.047
        # Short gradients: a step of an attack has a fixed cost too.
        ({32: 0.01, 64: 0.02, 128: 0.04}, 1000, 64),
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
    chosen = choose_batch_size(model, inputs, limit=most)
    assert (chosen, type(chosen)) == (expected, int)
    assert tried == [size for size in seconds if size <= most]


def test_the_size_stays_within_the_memory() -> None:
    model, inputs, _ = problem((1, 4, 4))
    one = batch_size._bytes_per_sample(model, inputs[:1])
    for available, expected in ((0, 1), (10.5 * one, 10), (70 * one, 70), (2000 * one, 1000)):
        assert fitting_batch_size(model, inputs, most=1000, memory=available) == expected


@pytest.mark.parametrize(
    ("limit", "gradient", "expected"),
    [
        (1000, None, 128),  # nothing is known
        (100, None, 100),
        (128, None, 128),
        (129, None, 128),
        (20, None, 20),
        (1000, 1e-4, 1000),  # a gradient of the batch takes at most 0.1 s
        (1001, 1e-4, 512),
        (100_000, 1e-5, 8192),
        (1000, 1e-2, 32),  # but the batch is not tiny
        (33, 1e-2, 32),
        (5, 1e-2, 5),
    ],
)
def test_a_size_that_is_not_measured(limit: int, gradient: float | None, expected: int) -> None:
    assert usual_batch_size(limit, gradient) == expected


@pytest.mark.parametrize(
    ("limit", "gradients", "expected"),
    [
        (1000, 8 * 1000, 1000),  # all sizes
        (1000, 8 * 1000 - 1, 512),
        (1000, 8 * 64, 64),
        (1000, 8 * 32, 32),
        (1000, 8 * 32 - 1, 0),  # none
        (20, 8 * 20, 20),
        (20, 8 * 20 - 1, 0),
    ],
)
def test_the_largest_size_that_can_be_tried_with_so_many_gradients(
    limit: int, gradients: float, expected: int
) -> None:
    assert measurable_batch_size(limit, gradients) == expected


def test_measuring_takes_no_more_gradients_than_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs, _ = problem((1, 4, 4))
    seen = []

    def counted(given: Tensor) -> Tensor:
        seen.append(len(given))
        logits: Tensor = model(given)
        return logits

    monkeypatch.setattr(batch_size, "_LEAST_GAIN", 0.0)  # every size is tried
    for limit in (16, 32, 256):
        seen.clear()
        assert choose_batch_size(counted, inputs, limit=limit) == limit
        assert sum(seen) <= 8 * limit


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
        limit = fitting_batch_size(counted, inputs, most=5000, memory=1e9)
        chosen = choose_batch_size(counted, inputs, limit=limit)
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
    assert fitting_batch_size(fast, inputs, most=1000, memory=available) == 50
    assert fitting_batch_size(model, inputs, most=1000, memory=available) > 50
    assert choose_batch_size(fast, inputs, limit=50) == 32
    assert measured
    assert all(one is (model if with_coarse else greedy) for one in measured)


@pytest.mark.parametrize(
    ("seconds", "most", "inputs_in_memory", "expected"),
    [
        (1e-2, 1000, 10**6, 32),  # a slow model
        (1e-3, 1000, 10**6, 64),
        (1e-5, 10**5, 10**6, 1024),  # the memory of the model is not measured
        (1e-5, 300, 10**6, 300),  # all samples
        (1e-5, 1000, 64 * 20, 20),  # the state of an attack is 64 inputs for each sample
        (1e-5, 1000, 1, 1),
    ],
)
def test_by_forward_passes_the_size_makes_the_time_of_an_attack_short_beside_them(
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    most: int,
    inputs_in_memory: int,
    expected: int,
) -> None:
    def model(points: Tensor) -> Tensor:
        assert not points.requires_grad
        return torch.from_numpy(points.numpy())

    example = torch.rand(8, 16)
    assert querying_batch_size(model, example, most=3, memory=1e9) == 3  # as measured
    monkeypatch.setattr(batch_size, "forward_seconds", lambda *_: 8 * seconds)
    memory = inputs_in_memory * 16 * 4
    assert querying_batch_size(model, example, most=most, memory=memory) == expected
