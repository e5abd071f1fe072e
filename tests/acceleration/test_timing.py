"""Times of gradients."""

import math
import time

import pytest
import torch
from torch import Tensor

from minnorm.acceleration import repeated, seconds_now, timing
from minnorm.runtime import devices

INPUTS = torch.rand(4, 3)


def _model(inputs: Tensor) -> Tensor:
    return 2 * inputs


def _failing(error: Exception) -> Tensor:
    raise error


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times that the clock shows next; a pair for each measurement."""
    times: list[float] = []
    monkeypatch.setattr(time, "perf_counter", lambda: times.pop(0))
    return times


def test_the_shortest_of_several_times_counts(clock: list[float]) -> None:
    clock += [0.0, 3.0, 10.0, 12.0, 20.0, 25.0]
    calls = []

    def model(inputs: Tensor) -> Tensor:
        calls.append(len(clock))
        return 2 * inputs

    assert timing.gradient_seconds(model, INPUTS) == 2.0
    assert calls == [6, 5, 3, 1]  # the first one is not timed
    clock += [0.0, 7.0]
    assert timing.gradient_seconds(model, INPUTS, repeats=1) == 7.0


def test_a_time_is_never_zero(clock: list[float]) -> None:
    clock += [5.0, 5.0]
    resolution = time.get_clock_info("perf_counter").resolution
    assert timing.gradient_seconds(_model, INPUTS, repeats=1) == resolution


def test_one_slow_measurement_does_not_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"first": iter([1.0, 9.0, 3.0]), "second": iter([2.0, 1.5, 9.0])}
    names = {_model: "first", abs: "second"}
    monkeypatch.setattr(timing, "_seconds", lambda model, _: next(times[names[model]]))
    assert timing.compared_seconds((_model, abs), INPUTS, rounds=3) == [1.0, 1.5]


def test_classifiers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[object] = []

    def seconds(model: object, _: Tensor) -> float:
        order.append(model)
        return 1.0

    monkeypatch.setattr(timing, "_seconds", seconds)
    timing.compared_seconds((_model, abs), INPUTS)
    assert order == [_model, abs] * 7


def test_a_classifier_that_fails_takes_forever() -> None:
    def failing(_: Tensor) -> Tensor:
        return _failing(TypeError("not in this precision"))

    found = timing.compared_seconds((failing, _model), INPUTS, rounds=1)
    assert found[0] == math.inf
    assert 0 < found[1] < math.inf


def test_a_gradient_that_does_not_fit_takes_forever() -> None:
    assert 0 < timing.fitting_seconds(_model, INPUTS, repeats=1) < math.inf
    found = timing.fitting_seconds(lambda _: _failing(torch.OutOfMemoryError()), INPUTS)
    assert found == math.inf
    with pytest.raises(TypeError):
        timing.fitting_seconds(lambda _: _failing(TypeError()), INPUTS)


def test_the_time_is_taken_after_the_device_has_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(devices, "synchronize", waited.append)
    before = time.perf_counter()
    assert before <= seconds_now(torch.device("cuda:1")) <= time.perf_counter()
    assert waited == [torch.device("cuda:1")]


@pytest.mark.parametrize(
    ("samples", "expected"), [(1, [0]), (3, [0, 1, 2]), (4, [0, 1, 2, 0]), (7, [0, 1, 2] * 2 + [0])]
)
def test_a_batch_is_repeated_to_a_number_of_samples(samples: int, expected: list[int]) -> None:
    inputs = torch.arange(3.0)
    assert repeated(inputs, samples).tolist() == expected
    assert repeated(inputs[:, None, None], samples).squeeze((1, 2)).tolist() == expected


@pytest.mark.parametrize(
    ("seconds", "samples", "expected"),
    [
        ({1: 0.001, 4: 0.002, 16: 0.02, 64: 0.04}, 64, (64, 0.04)),  # quick: all samples
        ({1: 0.001, 4: 0.002, 16: 0.051}, 64, (16, 0.051)),  # long enough to measure well
        ({1: 0.001, 4: 0.049, 16: 0.2}, 64, (16, 0.2)),
        ({1: 0.2, 4: 0.8}, 64, (4, 0.8)),  # slow, but at least 4 samples
        ({1: 0.001, 2: 0.001}, 2, (2, 0.001)),
        ({1: 0.001, 4: math.inf}, 64, (1, 0.001)),  # no more samples fit
        ({1: 0.001, 4: 0.001, 10: 0.1}, 10, (10, 0.1)),
    ],
)
def test_as_many_samples_as_are_quick_and_fit_are_measured_on(
    monkeypatch: pytest.MonkeyPatch,
    seconds: dict[int, float],
    samples: int,
    expected: tuple[int, float],
) -> None:
    tried: list[int] = []

    def fitting(_: object, inputs: Tensor, *, repeats: int) -> float:
        assert repeats == 1
        tried.append(len(inputs))
        return seconds[len(inputs)]

    monkeypatch.setattr(timing, "fitting_seconds", fitting)
    part, taken = timing.measurable(_model, torch.rand(samples, 3))
    assert (len(part), taken) == expected
    assert tried == list(seconds)


def test_measuring_begins_with_one_sample_and_stops_at_the_limit_of_memory() -> None:
    sizes: list[int] = []

    def large(inputs: Tensor) -> Tensor:
        sizes.append(len(inputs))
        if len(inputs) > 16:
            raise torch.OutOfMemoryError("out of memory")
        return 2 * inputs

    part, _ = timing.measurable(large, torch.rand(64, 3))
    assert len(part) == 16
    assert list(dict.fromkeys(sizes)) == [1, 4, 16, 64]
