"""The contract of bounds: each feature may have its own, and some may not change at all."""

import math

import pytest
import torch
from torch import Tensor

from attacks.cases import VARIANTS, Attack, Case, access_of_variant, takes
from attacks.networks import Linear, problem
from minnorm import geometry
from minnorm.boxes import masked, quantize
from minnorm.geometry import Norm
from reference.linear import optimal_distance

pytestmark = pytest.mark.parametrize("name", VARIANTS)


def drawn(shape: torch.Size, seed: int = 7) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def masks(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return bounds of 0 and 1 where three in ten features can change."""
    low, high = masked((0.0, 1.0), inputs, drawn(inputs.shape) < 0.3)
    assert isinstance(low, Tensor)
    assert isinstance(high, Tensor)
    return low, high


def random_boxes(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return bounds of different widths; some inputs are at a bound, some cannot change."""
    down, up = drawn(inputs.shape, 1), drawn(inputs.shape, 2)
    return inputs - (down - 0.2).clamp_min(0), inputs + (up - 0.2).clamp_min(0)


def half_open_boxes(inputs: Tensor) -> tuple[Tensor, Tensor]:
    low, high = random_boxes(inputs)
    endless = drawn(inputs.shape, 3)
    return low.where(endless > 0.3, -math.inf), high.where(endless < 0.7, math.inf)


BOXES = {"masks": masks, "random boxes": random_boxes, "half-open boxes": half_open_boxes}


@pytest.mark.parametrize("kind", BOXES)
def test_near_the_optimum_in_a_box(
    attack: Attack, case: Case, norm: Norm, name: str, kind: str
) -> None:
    model, inputs, labels = problem((20,), batch=10, classes=2, dtype=torch.float64, network=Linear)
    low, high = BOXES[kind](inputs)
    # The first sample cannot change at all; the second one cannot either, and is misclassified.
    low, high = (torch.cat([inputs[:2], bound[2:]]) for bound in (low, high))
    labels = torch.cat([labels[:1], 1 - labels[1:2], labels[2:]])
    weight, bias = model.weight.detach(), model.bias.detach()
    optima = torch.tensor(
        [
            optimal_distance(weight, bias, *one, targeted=False, low=least, high=most, norm=norm)
            for *one, least, most in zip(inputs, labels.tolist(), low, high, strict=True)
        ],
        dtype=torch.float64,
    )
    result = attack(model, inputs, labels, bounds=(low, high), **case.patient)
    assert result.adversarials.isfinite().all()
    assert ((result.adversarials >= low) & (result.adversarials <= high)).all()
    assert torch.equal(result.adversarials[low == high], inputs[low == high])
    assert result.success[:2].tolist() == [False, True]
    assert result.distances[:2].tolist() == [math.inf, 0]
    assert (result.distances[2:] >= optima[2:] * (1 - 1e-9)).all()
    found = result.success[2:]
    assert found.any() or not case.many_gradients
    if not takes(attack, "epsilon"):
        # By decisions alone, a small corner of a box is hard to find.
        share = 0.75 if access_of_variant(name) == "decisions" else 0.9
        assert found.sum() >= share * optima[2:].isfinite().sum()
        # Some attacks take their lengths from the bounds, and infinite ones have none.
        slack = case.slack * (1.25 if kind == "half-open boxes" else 1)
        assert (result.distances / optima)[2:][found].median() <= slack


def bits(values: Tensor) -> Tensor:
    return values.view(torch.int16)


@pytest.mark.parametrize("levels", [None, 16])
def test_masked_features_keep_their_bits(attack: Attack, norm: Norm, levels: int | None) -> None:
    model, inputs, labels = problem((3, 4, 4), batch=10, dtype=torch.bfloat16)
    inputs[:, :, 0, 0] = -0.0
    inputs[:, :, 0, 1] = 1.0
    labels = model(inputs).argmax(1)
    mask = drawn(torch.Size([4, 4])) < 0.6
    mask[0, :2] = False
    channels = torch.tensor([0.0, -0.5, 0.0]), torch.tensor([1.0, 1.5, 2.0])
    low, high = (bound.view(3, 1, 1) for bound in channels)
    starts = {"starts": 1 - inputs.abs()} if takes(attack, "starts") else {}
    before = bits(inputs.clone())
    result = attack(model, inputs, labels, bounds=(low, high), mask=mask, levels=levels, **starts)
    assert torch.equal(bits(inputs), before)
    there = (~mask).expand_as(inputs)
    assert torch.equal(bits(result.adversarials)[there], before[there])
    assert ((result.adversarials >= low) & (result.adversarials <= high)).all()
    with torch.no_grad():
        assert torch.equal(model(result.adversarials).argmax(1) != labels, result.success)
    assert result.success.any()
    measured = geometry.distances(result.adversarials, inputs, norm)
    assert torch.allclose(result.distances[result.success], measured[result.success])
    if levels is not None:
        hit = result.success & (result.distances > 0)
        grid = quantize(result.adversarials, levels, (low.bfloat16(), high.bfloat16()))
        moved = mask.expand_as(inputs)[hit]
        assert torch.equal(result.adversarials[hit][moved], grid[hit][moved])


@pytest.mark.slow
def test_order_and_batch_do_not_matter_with_bounds_of_each_sample(attack: Attack) -> None:
    # In float64, so that the rounding of other batch shapes stays far below the tolerance.
    model, inputs, labels = problem((12,), batch=8, dtype=torch.float64)
    boxes = [half_open_boxes(inputs), random_boxes(inputs), masks(inputs)]
    places = [0, 1, 2, 2, 1, 0, 2, 0]
    low, high = (
        torch.stack([boxes[place][end][row] for row, place in enumerate(places)]) for end in (0, 1)
    )
    whole = attack(model, inputs, labels, bounds=(low, high))
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    for rows in (order, order[:1], order[1:4]):
        part = attack(model, inputs[rows], labels[rows], bounds=(low[rows], high[rows]))
        assert torch.allclose(part.adversarials, whole.adversarials[rows], atol=1e-6)
        assert torch.equal(part.success, whole.success[rows])
