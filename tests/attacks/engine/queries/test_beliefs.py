"""Gaussian beliefs about linear functions: against numerical integration, and their convergence."""

import math

import pytest
import torch
from torch import Tensor

from minnorm.attacks.engine.queries.beliefs import Belief, after_signs, prior, relaxed, rescaled


@pytest.mark.parametrize("mean", [-1.0, 0.0, 2.0])
@pytest.mark.parametrize("feature", [0.5, -3.0])
@pytest.mark.parametrize("positive", [True, False])
def test_a_sign_has_the_moments_of_the_cut_normal_distribution(
    mean: float, feature: float, positive: bool
) -> None:
    belief = Belief(
        torch.tensor([[mean]]).double(), torch.tensor([[0.3]]).double(),
        torch.tensor([0.2]).double(), torch.tensor([0.7]).double(),
    )  # fmt: skip
    features = torch.tensor([[feature]]).double()
    found = after_signs(belief, features, torch.tensor([positive]))
    # The joint distribution of gradient and offset on a grid, without its part on the other side.
    gradient = torch.linspace(mean - 4, mean + 4, 801, dtype=torch.float64)[:, None]
    offset = torch.linspace(-5, 5.4, 801, dtype=torch.float64)
    weights = torch.exp(-((gradient - mean) ** 2) / 0.6 - (offset - 0.2) ** 2 / 1.4)
    weights = weights * ((gradient * feature + offset > 0) == positive)
    weights = weights / weights.sum()
    expected = (weights * gradient).sum()
    assert float(found.means) == pytest.approx(float(expected), abs=5e-3)
    spread = (weights * (gradient - expected) ** 2).sum()
    assert float(found.variances) == pytest.approx(max(float(spread), 0.15), abs=5e-3)
    assert float(found.offsets) == pytest.approx(float((weights * offset).sum()), abs=5e-3)


def cosine_after(signs: int, size: int = 40) -> float:
    """Return the median cosine of mean and gradient after signs at orthogonal directions."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(20, size, generator=generator, dtype=torch.float64)
    belief = prior(torch.ones_like(truth))
    for _ in range(signs):
        drawn = torch.randn(size, generator=generator).double() * belief.variances.sqrt()
        known = belief.means / belief.means.norm(dim=1, keepdim=True).clamp_min(1e-12)
        features = drawn - (drawn * known).sum(1, keepdim=True) * known
        belief = rescaled(after_signs(belief, features, (features * truth).sum(1) > 0))
    return float(torch.cosine_similarity(belief.means, truth).median())


def test_the_error_falls_exponentially_with_the_number_of_signs() -> None:
    errors = [1 - cosine_after(signs) ** 2 for signs in (40, 120, 200)]
    # A sign in a direction that is uncertain leaves 1 - 2 / pi of the variance along it.
    rate = 2 / math.pi / 40
    for error, signs in zip(errors, (40, 120, 200), strict=True):
        assert error < 1.6 * math.exp(-0.75 * rate * signs)
    assert errors[2] < errors[0] / 4


def test_signs_say_nothing_about_the_scale() -> None:
    belief = prior(torch.rand(3, 5).double() + 0.1)
    scaled = Belief(
        belief.means * 7, belief.variances * 49, belief.offsets * 7, belief.spreads * 49
    )
    features, positive = torch.randn(3, 5).double(), torch.tensor([True, False, True])
    one, other = (rescaled(after_signs(each, features, positive)) for each in (belief, scaled))
    assert all(torch.allclose(first, second) for first, second in zip(one, other, strict=True))
    total: Tensor = one.means.square().sum(1) + one.variances.sum(1)
    assert torch.allclose(total, torch.ones(3).double())


def test_what_is_out_of_date_returns_to_the_expected_size() -> None:
    known = torch.zeros(1, dtype=torch.float64)  # an offset that is certainly 0
    belief = Belief(known[None] + 2.0, known[None] + 0.5, known, known)
    half = relaxed(belief, torch.tensor([[3.0]]).double(), torch.tensor([0.5]).double())
    assert float(half.means) == pytest.approx(2 * math.sqrt(0.5))
    assert float(half.variances) == pytest.approx(0.5 + 1.5)
