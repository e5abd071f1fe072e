"""Compare an attack with a naive transcription of its paper, point by point."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

from attacks.cases import Attack
from attacks.networks import Curved, Linear, Recorded, problem
from minnorm.attacks import AttackResult
from minnorm.boxes import Bounds
from minnorm.geometry import Norm
from reference.common import is_adversarial

Classifier = Callable[[Tensor], Tensor]

SAMPLES = range(4)

UNTARGETED: dict[str, Any] = {"targeted": False, "bounds": (0.0, 1.0)}
"""An untargeted attack in the unit box."""

TARGETED: dict[str, Any] = {"targeted": True, "bounds": (-1.0, 3.0)}
"""A targeted attack in a box of width 4, so that a unit of length is not 1."""

in_each_norm = pytest.mark.parametrize(
    "settings", [{"norm": "l2", **UNTARGETED}, {"norm": "linf", **TARGETED}], ids=["l2", "linf"]
)

_Result = TypeVar("_Result", bound=AttackResult)


def one_sample(
    index: int,
    *,
    targeted: bool,
    classes: int = 5,
    network: Callable[..., Linear] = Curved,
    shape: tuple[int, ...] = (1, 4, 4),
) -> tuple[Classifier, Tensor, int]:
    """Return a classifier, an input in double precision, and its label or target."""
    model, inputs, labels = problem(shape, dtype=torch.float64, classes=classes, network=network)
    label = int(labels[index])
    return model, inputs[index], (label + 1) % classes if targeted else label


def visited(
    attack: Callable[..., _Result],
    model: Classifier,
    x: Tensor,
    y: int,
    *,
    bounds: Bounds = (0.0, 1.0),
    starts: Tensor | None = None,
    **arguments: Any,
) -> tuple[list[Tensor], _Result]:
    """Run an attack on one sample in a box, and return what it found as if in the unit box.

    Returns:
        The points in the order in which the attack evaluates them, and the result.
    """
    low, high = bounds
    width = high - low
    recorded = Recorded(lambda points: model((points - low) / width))
    if starts is not None:
        arguments["starts"] = low + width * starts[None]
    result = attack(recorded, low + width * x[None], torch.tensor([y]), bounds=bounds, **arguments)
    points = [(point - low) / width for batch in recorded.batches for point in batch]
    return points, replace(
        result,
        adversarials=(result.adversarials - low) / width,
        distances=result.distances / width,
    )


def check_same(found: list[Tensor], expected: list[Tensor]) -> None:
    """Check that two lists of points are the same."""
    assert len(found) == len(expected)
    for step, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert torch.allclose(one, other, atol=1e-6), f"step {step}"


def check_closest(
    result: AttackResult,
    model: Classifier,
    points: list[Tensor],
    x: Tensor,
    y: int,
    *,
    targeted: bool,
    norm: Norm = "l2",
) -> None:
    """Check that the result is the closest adversarial of the points."""
    order = 2 if norm == "l2" else torch.inf
    hits = [point for point in points if is_adversarial(model, point, y, targeted=targeted)]
    lengths = [float((point - x).norm(p=order)) for point in hits]
    assert bool(result.success) == bool(hits)
    assert float(result.distances) == pytest.approx(min(lengths, default=torch.inf), rel=1e-6)
    expected = hits or [x]
    assert any(torch.allclose(result.adversarials[0], point, atol=1e-6) for point in expected)


def check_transcription(
    attack: Attack,
    transcription: Callable[..., list[Tensor]],
    *,
    targeted: bool,
    bounds: Bounds = (0.0, 1.0),
    classes: int = 5,
    network: Callable[..., Linear] = Curved,
    **settings: Any,
) -> None:
    """Check that an attack evaluates the points of a transcription, and returns the closest."""
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted, classes=classes, network=network)
        expected = transcription(model, x, y, targeted=targeted, **settings)
        found, result = visited(attack, model, x, y, targeted=targeted, bounds=bounds, **settings)
        check_same(found, expected)
        norm = settings.get("norm", "l2")
        check_closest(result, model, expected, x, y, targeted=targeted, norm=norm)
