"""The choice of techniques: requested or measured, and the notes on it."""

import math

import pytest
import torch

from minnorm.acceleration import choice as choices
from minnorm.acceleration.choice import Choice


@pytest.mark.parametrize(
    ("words", "automatic", "requested", "considered"),
    [
        (None, True, [], ["folded", "narrow"]),
        (["narrow"], False, ["narrow"], ["narrow"]),
        ([], False, [], []),
    ],
)
def test_what_is_requested_and_what_is_considered(
    words: list[str] | None, automatic: bool, requested: list[str], considered: list[str]
) -> None:
    choice = Choice(torch.zeros(1), words)
    names = ["folded", "narrow"]
    assert choice.automatic == automatic
    assert [name for name in names if choice.requests(name)] == requested
    assert [name for name in names if choice.considers(name)] == considered


def test_decisions_are_noted_in_their_order() -> None:
    choice = Choice(torch.zeros(1), None)
    assert (choice.used, choice.notes, choice.reason("narrow")) == ([], [], None)
    choice.record("narrow", True, "2.00 times as fast")
    choice.record("autocast", False, "it fails")
    choice.record("folded", True, "as requested")
    assert choice.used == ["narrow", "folded"]
    assert choice.notes == [
        "narrow: yes (2.00 times as fast)",
        "autocast: no (it fails)",
        "folded: yes (as requested)",
    ]
    assert choice.reason("autocast") == "it fails"


def _model(inputs: torch.Tensor) -> torch.Tensor:
    return inputs


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([2.0, 3.0], (1.5, "1.50 times as fast")),
        ([4.0, 2.0], (0.5, "0.50 times as fast")),
        ([math.inf, 2.0], (0.0, "it fails")),
        ([math.inf, math.inf], (0.0, "it fails")),
    ],
)
def test_the_speedup_is_measured(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], expected: tuple[float, str]
) -> None:
    monkeypatch.setattr(choices, "compared_seconds", lambda *_: seconds)
    assert Choice(torch.zeros(1), None).speedup(_model, _model) == expected


def test_the_speedup_of_a_requested_technique_is_not_measured() -> None:
    choice = Choice(torch.zeros(1), ["narrow"])
    assert choice.speedup(_model, _model) == (math.inf, "as requested")


def _failing(_: torch.Tensor) -> torch.Tensor:
    raise TypeError("only float32")


def test_of_requested_techniques_only_those_that_fail_are_told_apart() -> None:
    inputs = torch.rand(2, 3)
    choice = Choice(inputs, ["bfloat16"])
    assert choice.seconds((_model, _failing, _model)) == [1.0, math.inf, 1.0]
