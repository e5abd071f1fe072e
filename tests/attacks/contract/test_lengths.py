"""The contract of lengths: bounds that are not reached, and the scale of inputs, change nothing."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attacks.cases import VARIANTS, Attack, Case, case_of, takes
from minnorm.geometry import Norm

MINIMUM_VARIANTS = [variant for variant in VARIANTS if "epsilon" not in case_of(variant).settings]

INF = math.inf

ONES = torch.ones(12, dtype=torch.float64)

pytestmark = [pytest.mark.parametrize("name", MINIMUM_VARIANTS), pytest.mark.slow]


def tabular(scales: Tensor, *, shift: float = 0.0) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Return a linear classifier of features of these scales, inputs, labels and weights."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(8, len(scales), generator=generator).double()
    weights = torch.randn(3, len(scales), generator=generator).double() / scales
    model = nn.Linear(len(scales), 3).double().eval()
    model.weight.data = weights
    model.bias.data = torch.randn(3, generator=generator).double() - shift * weights.sum(1)
    inputs = inputs * scales + shift
    return model, inputs, model(inputs).argmax(1), weights


def ratios(
    attack: Attack,
    norm: Norm,
    bounds: tuple[float, float],
    *,
    scales: Tensor = ONES,
    shift: float = 0.0,
) -> Tensor:
    """Return the distances found, relative to the distances of the nearest boundaries."""
    model, inputs, labels, weights = tabular(scales, shift=shift)
    logits = model(inputs).detach()
    dual = 1 if norm == "linf" else 2
    best = torch.full((len(inputs),), INF).double()
    for rival in range(3):
        gaps = logits.gather(1, labels[:, None])[:, 0] - logits[:, rival]
        slopes = torch.linalg.vector_norm(weights[rival] - weights[labels], dual, dim=1)
        best = torch.where(labels == rival, best, torch.minimum(best, gaps / slopes))
    return attack(model, inputs, labels, bounds=bounds).distances / best


@pytest.mark.parametrize("bounds", [(-100.0, 100.0), (-1e4, 1e4)])
def test_loose_bounds_change_nothing(
    attack: Attack, case: Case, norm: Norm, bounds: tuple[float, float]
) -> None:
    attack = partial(attack, **{**case.patient, **case.brief})
    assert ratios(attack, norm, bounds).median() < 1.5 * case.slack


def test_the_scale_of_inputs_without_bounds_changes_nothing(
    attack: Attack, case: Case, norm: Norm
) -> None:
    attack = partial(attack, **{**case.patient, **case.brief})
    plain = ratios(attack, norm, (-INF, INF))
    assert plain.median() < 1.5 * case.slack
    for size in (1e-4, 1e4):
        scaled = ratios(attack, norm, (-INF, INF), scales=size * ONES)
        assert scaled.median() < 1.05 * plain.median()
        assert scaled.median() < 1.5 * case.slack


TABLES: dict[str, dict[str, Any]] = {
    "features of very different size": {
        "scales": torch.logspace(-1, 4, 12, dtype=torch.float64),
        "bounds": (-1e6, 1e6),
    },
    "near one bound": {"bounds": (0.0, 1e6), "shift": 20.0},
    "far from zero": {"bounds": (0.0, 1e4), "shift": 5000.0},
}


@pytest.mark.parametrize("table", TABLES)
def test_bounds_far_away_from_tabular_data_change_nothing(
    attack: Attack,
    case: Case,
    norm: Norm,
    table: str,
) -> None:
    found = ratios(partial(attack, **{**case.patient, **case.brief}), norm, **TABLES[table])
    assert found.median() < 1.5 * case.slack


@pytest.mark.parametrize("size", [1e-30, 1e30])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_scale_of_the_logits_changes_nothing(attack: Attack, size: float, classes: int) -> None:
    model, inputs, labels, _ = tabular(ONES / 4, shift=0.5)
    inputs = inputs.clamp(0, 1)

    def scaled(points: Tensor) -> Tensor:
        logits: Tensor = model(points)[:, :classes]
        return size * logits

    labels = scaled(inputs).argmax(1)
    plain = attack(lambda points: scaled(points) / size, inputs, labels)
    found = attack(scaled, inputs, labels)
    assert found.success.sum() >= plain.success.sum() - 1
    if not takes(attack, "initial_constant"):  # a constant has another meaning for other logits
        assert found.distances.median() < 1.5 * plain.distances.median()


def test_masked_classes_change_nothing(attack: Attack) -> None:
    model, inputs, _, _ = tabular(ONES / 4, shift=0.5)
    inputs = inputs[:3].clamp(0, 1)
    labels = model(inputs).argmax(1)
    masks = torch.tensor([-1e9, -math.inf], dtype=torch.float64)

    def masked(points: Tensor) -> Tensor:
        return torch.cat([model(points), masks.expand(len(points), 2)], 1)

    plain, found = attack(model, inputs, labels), attack(masked, inputs, labels)
    assert torch.equal(found.success, plain.success)
    if not takes(attack, "surrogates"):  # a surrogate with more classes is another one
        torch.testing.assert_close(found.distances, plain.distances, rtol=0.02, atol=0)
