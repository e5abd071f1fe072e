"""Tuning: what is measured, and what an interrupted run or the user has decided already."""

from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from evaluation.small_runs import configuration
from minnorm.acceleration import SAMPLES, Accelerated
from minnorm.evaluation import tuning
from minnorm.evaluation.configuration import Configuration
from minnorm.evaluation.tuning import BatchSize, tune
from minnorm.runtime import memory, ranks

MEMORY = 1000


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments of the measurements, which are replaced."""
    seen: dict[str, Any] = {}

    def accelerate(model: Any, example: Tensor, use: str) -> Accelerated:
        seen.update(model=model, example=example, use=use)
        return Accelerated(model, model, None, "chosen" if use == "auto" else use, ())

    def choose_batch_size(model: Any, example: Tensor, *, most: int, memory: float) -> int:
        assert isinstance(model, Accelerated)
        assert example is seen["example"]
        seen.update(most=most, memory=memory)
        assert not torch.is_grad_enabled()
        return 17

    monkeypatch.setattr(tuning, "accelerate", accelerate)
    monkeypatch.setattr(tuning, "choose_batch_size", choose_batch_size)
    monkeypatch.setattr(memory, "available_memory", lambda device: MEMORY * (device.type == "cpu"))
    return seen


@pytest.mark.parametrize(
    ("acceleration", "batch_size", "interrupted", "expected"),
    [
        ("auto", "auto", None, ("chosen", 17)),
        ("plain", "auto", None, ("plain", 17)),
        ("auto", 3, None, ("chosen", 3)),
        ("auto", "auto", configuration(), ("off", 5)),
        ("plain", "auto", configuration(), ("plain", 5)),
        ("auto", 3, configuration(), ("off", 3)),
    ],
)
def test_what_is_open_is_taken_from_the_interrupted_run_or_measured(
    calls: dict[str, Any],
    acceleration: str,
    batch_size: BatchSize,
    interrupted: Configuration | None,
    expected: tuple[str, int],
) -> None:
    model, inputs, _ = problem((4,))
    tuned = tune(
        model, inputs, 100,
        acceleration=acceleration, batch_size=batch_size, interrupted=interrupted,
    )  # fmt: skip
    assert (tuned.model.used, tuned.batch_size) == expected
    assert tuned.model.original is model
    assert ("most" in calls) == (expected[1] == 17)


@pytest.mark.parametrize(
    ("batch_size", "samples"), [("auto", SAMPLES), (3, 3), (SAMPLES + 5, SAMPLES)]
)
def test_the_example_is_no_larger_than_a_batch(
    calls: dict[str, Any], batch_size: BatchSize, samples: int
) -> None:
    model, inputs, _ = problem((4,))
    tune(model, inputs, 100, acceleration="auto", batch_size=batch_size, interrupted=None)
    assert len(calls["example"]) == samples
    assert torch.equal(calls["example"][: len(inputs)], inputs[:samples])


@pytest.mark.parametrize(("count", "most"), [(1, 100), (3, 34)])
def test_a_batch_takes_at_most_the_share_of_a_rank_and_half_of_the_memory(
    calls: dict[str, Any], monkeypatch: pytest.MonkeyPatch, count: int, most: int
) -> None:
    monkeypatch.setattr(ranks, "world_size", lambda: count)
    model, inputs, _ = problem((4,))
    tune(model, inputs, 100, acceleration="off", batch_size="auto", interrupted=None)
    assert (calls["most"], calls["memory"]) == (most, MEMORY / 2)


def test_other_ranks_use_what_the_first_rank_decided(
    calls: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "rank", lambda: 1)
    decided = ("narrow", 9)
    monkeypatch.setattr(ranks, "gather", lambda own: [decided if own == ("auto", 0) else own])
    model, inputs, _ = problem((4,))
    tuned = tune(model, inputs, 100, acceleration="auto", batch_size="auto", interrupted=None)
    assert (calls["use"], tuned.model.used, tuned.batch_size) == ("narrow", "narrow", 9)
    assert calls["model"] is model
    assert len(calls["example"]) == SAMPLES
    assert "most" not in calls


def test_the_first_rank_shares_what_it_decided(
    calls: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[object] = []

    def gather(own: object) -> list[object]:
        shared.append(own)
        return [own]

    monkeypatch.setattr(ranks, "gather", gather)
    model, inputs, _ = problem((4,))
    tune(model, inputs, 100, acceleration="auto", batch_size="auto", interrupted=None)
    assert ("chosen", 17) in shared
    assert calls["use"] == "auto"
