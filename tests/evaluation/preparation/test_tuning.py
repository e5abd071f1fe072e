"""Tuning: what is measured, remembered, or decided by the user or an interrupted run already."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attacks.networks import problem
from evaluation.small_runs import configuration
from minnorm.acceleration import SAMPLES, Accelerated
from minnorm.access import Access
from minnorm.errors import InputError, OutOfMemoryError
from minnorm.evaluation.preparation import tuning
from minnorm.evaluation.preparation.decisions import (
    AccelerationDecision,
    BatchSizeDecision,
    circumstances,
    recall,
    remember,
)
from minnorm.evaluation.preparation.tuning import BatchSize, Tuning, tune
from minnorm.evaluation.preparation.work import Workload
from minnorm.evaluation.store.configuration import Configuration
from minnorm.runtime import memory, ranks

MEMORY = 1000
LARGE = Workload(samples=1000, gradients=1000, accelerated=1000)
MEDIUM = Workload(samples=1000, gradients=100, accelerated=100)
SMALL = Workload(samples=1000, gradients=30, accelerated=30)
TINY = Workload(samples=20, gradients=10, accelerated=10)


@dataclass
class Machine:
    """A machine whose measurements are replaced.

    Attributes:
        gradient: The seconds of a gradient of one sample.
        limit: The largest batch that fits.
        calls: What was done: its name and its arguments.
    """

    gradient: float = 0.01
    limit: int = 10**6
    calls: list[tuple[str, Any]] = field(default_factory=list)

    def named(self, name: str) -> list[Any]:
        """Return the arguments of the calls of this name."""
        return [arguments for called, arguments in self.calls if called == name]

    def accelerate(self, model: Any, example: Tensor, use: str) -> Accelerated:
        self.calls.append(("accelerate", (use, len(example))))
        return Accelerated(model, model, None, "narrow" if use == "auto" else use, ("why",))

    def measurable(self, model: Any, example: Tensor) -> tuple[Tensor, float]:  # noqa: ARG002
        self.calls.append(("measurable", len(example)))
        return example, self.gradient * len(example)

    def fitting_seconds(self, model: Any, inputs: Tensor, *, repeats: int) -> float:  # noqa: ARG002
        self.calls.append(("fitting_seconds", len(inputs)))
        return self.gradient * len(inputs)

    def fitting_batch_size(
        self,
        model: Any,  # noqa: ARG002
        inputs: Tensor,  # noqa: ARG002
        *,
        most: int,
        memory: float,
    ) -> int:
        self.calls.append(("fitting_batch_size", (most, memory)))
        return min(self.limit, most)

    def choose_batch_size(self, model: Any, inputs: Tensor, *, limit: int) -> int:  # noqa: ARG002
        assert isinstance(model, Accelerated)
        assert not torch.is_grad_enabled()
        self.calls.append(("choose_batch_size", limit))
        return min(96, limit)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    for name in (
        "accelerate",
        "measurable",
        "fitting_seconds",
        "fitting_batch_size",
        "choose_batch_size",
    ):
        monkeypatch.setattr(tuning, name, getattr(found, name))
    monkeypatch.setattr(memory, "available_memory", lambda device: MEMORY * (device.type == "cpu"))
    monkeypatch.setattr(memory, "keep_freed_memory", lambda: None)
    return found


def _network() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval(), torch.rand(8, 1, 4, 4)


def _tune(work: Workload, **changes: Any) -> Tuning:
    model, inputs = _network()
    arguments: dict[str, Any] = {
        "acceleration": "auto",
        "batch_size": "auto",
        "interrupted": None,
        "fingerprint": "f",
    }
    return tune(model, inputs, work, **{**arguments, **changes})


def _key(**more: str) -> dict[str, str]:
    return {**circumstances("f", _network()[1]), **more}


@pytest.mark.parametrize(
    ("acceleration", "batch_size", "interrupted", "expected"),
    [
        ("auto", "auto", None, ("narrow", 96)),
        ("plain", "auto", None, ("plain", 96)),
        ("auto", 3, None, ("narrow", 3)),
        ("auto", "auto", configuration(), ("off", 5)),
        ("plain", "auto", configuration(), ("plain", 5)),
        ("auto", 3, configuration(), ("off", 3)),
    ],
)
def test_what_is_open_is_taken_from_the_interrupted_run_or_measured(
    machine: Machine,
    acceleration: str,
    batch_size: BatchSize,
    interrupted: Configuration | None,
    expected: tuple[str, int],
) -> None:
    tuned = _tune(LARGE, acceleration=acceleration, batch_size=batch_size, interrupted=interrupted)
    assert (tuned.model.used, tuned.batch_size) == expected
    assert bool(machine.named("measurable")) == (expected[0] == "narrow")
    assert bool(machine.named("choose_batch_size")) == (expected[1] == 96)


@pytest.mark.parametrize(("batch_size", "samples"), [("auto", SAMPLES), (3, 3), (99, SAMPLES)])
def test_the_example_is_no_larger_than_a_batch(
    machine: Machine, batch_size: BatchSize, samples: int
) -> None:
    _tune(LARGE, batch_size=batch_size)
    assert machine.named("measurable") == [samples]
    assert machine.named("accelerate") == [("auto", samples)]


@pytest.mark.parametrize(
    ("work", "samples"),
    [
        (LARGE, SAMPLES),
        (MEDIUM, 25),  # 1.8 % of 100,000 gradients are 72 of 25 samples
        (SMALL, 7),
        (Workload(1000, 30, 15), None),  # half of the gradients are those of other attacks
        (Workload(210, 100, 100), 5),
        (TINY, None),
    ],
)
def test_the_example_is_as_large_as_the_work_allows(
    machine: Machine, work: Workload, samples: int | None
) -> None:
    tuned = _tune(work)
    assert machine.named("measurable") == ([] if samples is None else [samples])
    assert tuned.model.used == ("off" if samples is None else "narrow")
    if samples is None:
        (note,) = tuned.model.notes
        assert note.startswith("the model is used as it is: the attacks compute few gradients")


@pytest.mark.parametrize(("gradient", "used"), [(0.0005, "off"), (0.0006, "narrow")])
def test_a_small_example_with_a_short_gradient_says_too_little(
    machine: Machine, gradient: float, used: str
) -> None:
    machine.gradient = gradient
    assert _tune(SMALL).model.used == used
    assert len(machine.named("measurable")) == 1


@pytest.mark.parametrize(
    ("copying", "samples"),
    [(0.0, 25), (0.1, 24), (0.7, 24), (0.8, 23), (15.0, 4), (15.2, None)],
)
def test_a_network_that_takes_long_to_copy_is_measured_on_fewer_samples(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, copying: float, samples: int | None
) -> None:
    # The attacks take 1,000 s, so 18 s may be spent; the example takes 0.72 s for each sample.
    monkeypatch.setattr(tuning, "seconds_to_choose", lambda _, seconds: 72 * seconds + copying)
    _tune(MEDIUM)
    used = ("off", SAMPLES) if samples is None else ("auto", samples)
    assert machine.named("accelerate") == [used]


def test_the_time_to_copy_a_large_network_counts(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "seconds_to_choose", lambda _, seconds: 72 * seconds + 1e6)
    tuned = _tune(LARGE)
    assert tuned.model.used == "off"
    assert tuned.model.notes == (
        "the model is used as it is: the attacks take about 1e+04 s, too little to find out what "
        "is faster",
    )
    assert machine.named("accelerate") == [("off", SAMPLES)]


@pytest.mark.parametrize(
    "error", [TypeError("not differentiable"), OutOfMemoryError("not enough memory")]
)
def test_a_model_without_a_gradient_is_used_as_it_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(*_: object) -> Any:
        raise error

    monkeypatch.setattr(tuning, "measurable", failing)
    tuned = _tune(LARGE, batch_size=3)
    assert tuned.model.used == "off"
    assert f"({type(error).__name__}: {error})" in tuned.model.notes[0]
    assert machine.named("accelerate") == [("off", 3)]


def test_a_function_is_not_measured(machine: Machine) -> None:
    model, inputs, _ = problem((1, 4, 4))
    tuned = tune(
        model.forward, inputs, LARGE,
        acceleration="auto", batch_size=5, interrupted=None, fingerprint=None,
    )  # fmt: skip
    assert tuned.batch_size == 5
    assert machine.calls == [("accelerate", ("auto", 5))]


def test_what_was_measured_is_remembered(machine: Machine) -> None:
    first = _tune(LARGE)
    assert recall(_key(), AccelerationDecision) == AccelerationDecision(
        words="narrow", gradient=machine.gradient
    )
    assert recall(_key(acceleration="narrow"), BatchSizeDecision) == BatchSizeDecision(
        size=96, most=1000
    )
    machine.calls.clear()
    again = _tune(LARGE)
    assert (again.model.used, again.batch_size) == (first.model.used, first.batch_size)
    assert [name for name, _ in machine.calls] == ["accelerate", "fitting_batch_size"]
    assert machine.named("accelerate") == [("narrow", SAMPLES)]
    assert again.model.notes[-1] == "chosen by an earlier measurement"


def test_what_was_remembered_serves_smaller_runs_too(machine: Machine) -> None:
    _tune(LARGE)
    machine.calls.clear()
    tuned = _tune(SMALL)
    assert (tuned.model.used, tuned.batch_size) == ("narrow", 96)
    assert not machine.named("measurable")
    # Building the fast copies takes some time as well.
    tuned = _tune(TINY)
    assert (tuned.model.used, tuned.batch_size) == ("off", 20)


@pytest.mark.parametrize("changes", [{"fingerprint": "other"}, {"fingerprint": None}])
def test_another_model_is_measured_again(machine: Machine, changes: dict[str, Any]) -> None:
    remember(_key(), AccelerationDecision(words="folded", gradient=1.0))
    assert _tune(LARGE, **changes).model.used == "narrow"
    assert machine.named("measurable") == [SAMPLES]


def test_remembered_techniques_that_fail_are_not_used(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(_key(), AccelerationDecision(words="folded", gradient=0.01))

    def accelerate(model: Any, example: Tensor, use: str) -> Accelerated:
        if use == "folded":
            raise InputError("the fast copy has other logits")
        return machine.accelerate(model, example, use)

    monkeypatch.setattr(tuning, "accelerate", accelerate)
    tuned = _tune(LARGE)
    assert tuned.model.used == "off"
    assert tuned.model.notes == ("the model is used as it is: the fast copy has other logits",)


@pytest.mark.parametrize(
    ("known", "limit", "expected"),
    [
        (BatchSizeDecision(size=256, most=1000), 10**6, 256),
        (BatchSizeDecision(size=256, most=1000), 100, 100),  # less memory than then
        (BatchSizeDecision(size=256, most=256), 10**6, 96),  # more samples than then: measured
        (BatchSizeDecision(size=256, most=256), 200, 200),
    ],
)
def test_a_remembered_batch_size_is_used_as_far_as_it_fits(
    machine: Machine, known: BatchSizeDecision, limit: int, expected: int
) -> None:
    remember(_key(acceleration="off"), known)
    machine.limit = limit
    assert _tune(LARGE, acceleration="off").batch_size == expected


@pytest.mark.parametrize(
    ("work", "gradient", "measured", "expected"),
    [
        (LARGE, 0.01, [1000], 96),
        (MEDIUM, 0.01, [128], 96),  # 1.8 % of 100,000 gradients are 8 of 225 samples
        (Workload(1000, 50, 50), 0.01, [64], 64),  # more may be faster, but was not measured
        # A gradient of 64 samples is so short that more of them are surely faster.
        (Workload(1000, 50, 50), 0.001, [], 64),
        (Workload(1000, 50, 50), 0.0001, [], 1000),
        (SMALL, 0.002, [64], 64),
        (Workload(1000, 10, 10), 0.001, [], 64),
        (Workload(500, 1, 1), 0.001, [], 128),  # too little for a single gradient
        (TINY, 0.001, [], 20),
        (Workload(8, 1000, 1000), 0.001, [], 8),
    ],
)
def test_the_batch_size_is_measured_as_far_as_the_work_allows(
    machine: Machine, work: Workload, gradient: float, measured: list[int], expected: int
) -> None:
    machine.gradient = gradient
    assert _tune(work, acceleration="off").batch_size == expected
    assert machine.named("choose_batch_size") == measured


def test_a_batch_takes_at_most_half_of_the_memory(machine: Machine) -> None:
    _tune(LARGE, acceleration="off")
    assert machine.named("fitting_batch_size") == [(1000, MEMORY / 2)]


def test_the_memory_that_is_freed_is_kept_on_a_cpu(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "keep_freed_memory", lambda: machine.calls.append(("kept", None)))
    _tune(TINY, acceleration="off")
    assert machine.calls[0] == ("kept", None)


def test_other_ranks_use_what_the_first_rank_decided(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "rank", lambda: 1)
    decided = ("narrow", 9)
    monkeypatch.setattr(ranks, "gather", lambda own: [decided if own == ("auto", 0) else own])
    tuned = _tune(LARGE)
    assert (tuned.model.used, tuned.batch_size) == decided
    assert machine.calls == [("accelerate", ("narrow", 8))]


def test_the_first_rank_shares_what_it_decided(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[object] = []

    def gather(own: object) -> list[object]:
        shared.append(own)
        return [own]

    monkeypatch.setattr(ranks, "gather", gather)
    _tune(LARGE)
    assert ("narrow", 96) in shared
    assert machine.named("accelerate") == [("auto", SAMPLES)]


@pytest.mark.parametrize("access", ["scores", "decisions"])
def test_without_gradients_nothing_is_differentiated(machine: Machine, access: Access) -> None:
    tuned = _tune(LARGE, access=access)
    assert tuned.model.used == "off"
    assert tuned.model.notes == ("the model is used as it is: no attack needs gradients",)
    assert tuned.batch_size in range(1, 1000)
    assert [name for name, _ in machine.calls] == ["accelerate"]
    assert _tune(LARGE, access=access, batch_size=3).batch_size == 3
    continued = _tune(LARGE, access=access, interrupted=configuration())
    assert (continued.model.used, continued.batch_size) == ("off", 5)
    assert _tune(LARGE, access=access, acceleration="plain").model.used == "plain"  # as requested
