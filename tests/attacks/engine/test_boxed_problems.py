"""Problems with bounds of each feature: what searches, lengths, levels and insets make of them."""

import math

import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, problem
from minnorm import boxes, geometry
from minnorm.attacks.engine.incumbent import Incumbent
from minnorm.attacks.engine.inset import at_bounds, inset, loses_gradients, may_be_lost
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.search import Search
from minnorm.boxes import Bounds
from minnorm.geometry import Norm

MASK = torch.arange(12) % 3 == 0
ALL = torch.ones(12, dtype=torch.bool)


def opened(
    mask: Tensor | None = MASK,
    *,
    bounds: Bounds = (0.0, 1.0),
    norm: Norm = "l2",
    levels: int | None = None,
    radius: float = math.inf,
    shift: Tensor | float = 0.0,
    dtype: torch.dtype = torch.float64,
) -> Search:
    """Return a search on four samples."""
    model, inputs, labels = problem((12,), batch=4, dtype=dtype, network=Linear)
    with open_search(
        lambda points: model(points - shift),
        inputs + shift,
        labels,
        targeted=False,
        bounds=bounds,
        generator=None,
        norm=norm,
        radius_limit=radius,
        levels=levels,
        mask=mask,
    ) as search:
        return search


def test_gradients_and_noise_are_zero_where_nothing_can_change() -> None:
    search = opened()
    visit = search.visit(search.problem.origins)
    gradients = visit.pull_back(search.goal.margin_direction(visit.logits))
    plain = opened(None).visit(search.problem.origins)
    expected = plain.pull_back(search.goal.margin_direction(plain.logits))
    assert torch.equal(gradients, expected.where(MASK, 0.0))
    assert (search.noise()[:, ~MASK] == 0).all()
    assert opened(None).noise().shape == (1, 12)
    directions = search.with_directions(torch.zeros(4, 12, dtype=torch.float64))
    assert (directions[:, ~MASK] == 0).all()
    assert torch.allclose(geometry.norms(directions), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_points_in_a_ball_use_its_whole_radius(norm: Norm) -> None:
    search = opened(MASK, bounds=(-10.0, 10.0), norm=norm, radius=2.0)
    radii = torch.full((4,), 2.0, dtype=torch.float64) / search.problem.unit
    drawn = [search.points_in_ball(radii) - search.problem.origins for _ in range(200)]
    assert all(torch.equal(moves[:, ~MASK], torch.zeros(4, 8).double()) for moves in drawn)
    lengths = torch.stack([geometry.norms(moves, norm) for moves in drawn])
    # Of points that are uniform in a ball of n dimensions, the share within r is r^n.
    median = 2 * 0.5 ** (1 / 4)
    assert lengths.max() <= 2.0001
    assert float(lengths.median()) == pytest.approx(median, rel=0.05)


def test_a_search_without_any_free_feature_stays_at_the_inputs() -> None:
    search = opened(~ALL)
    problem = search.problem
    assert isinstance(problem.unit, Tensor)
    assert problem.unit.tolist() == 4 * [1]
    assert (search.noise() == 0).all()
    ones = torch.ones(4, dtype=torch.float64)
    points = search.points_in_ball(ones)
    assert torch.equal(points, problem.origins)
    assert torch.equal(problem.points(torch.full((4, 12), torch.nan).double()), problem.origins)
    assert (search.with_directions(torch.zeros(4, 12).double()) == 0).all()


def test_parts_keep_the_bounds_of_their_samples() -> None:
    search = opened(torch.eye(4, 12, dtype=torch.bool))
    rows = torch.tensor([2, 0])
    part = search.problem.part(rows)
    for whole, cut in zip(search.problem.bounds, part.bounds, strict=True):
        assert isinstance(whole, Tensor)
        assert isinstance(cut, Tensor)
        assert torch.equal(cut, whole[rows])
    moved = part.points(torch.ones(2, 12).double())
    assert (moved != part.origins).nonzero().tolist() == [[0, 2], [1, 0]]


def test_features_that_cannot_change_do_not_coarsen_the_others() -> None:
    large = torch.where(MASK, 0.0, 1e6).float()
    plain = opened(None, dtype=torch.float32)
    masked = opened(MASK, shift=large, bounds=(-1e7, 1e7), dtype=torch.float32)
    steps = masked.problem.in_inputs(masked.problem.least_step().unsqueeze(1)).squeeze(1)
    expected = plain.problem.least_step() * math.sqrt(4 / 12)
    assert (steps <= 10 * expected).all()
    # The boundary is near, and the bounds of the free features are far away.
    assert isinstance(masked.problem.unit, Tensor)
    assert (masked.problem.unit < 100).all()


def test_lengths_are_those_of_numbers_where_all_features_have_the_same_bounds() -> None:
    for bounds in ((0.0, 1.0), (-1e4, 1e4), (0.0, math.inf)):
        numbers = opened(None, bounds=bounds)
        tensors = opened(None, bounds=(torch.full((12,), bounds[0]), torch.full((12,), bounds[1])))
        units = torch.as_tensor(numbers.problem.unit, dtype=torch.float64)
        assert torch.allclose(torch.as_tensor(tensors.problem.unit), units.expand(4))
        assert torch.allclose(
            tensors.problem.in_inputs(tensors.problem.least_step()[:, None]),
            numbers.problem.in_inputs(numbers.problem.least_step()[:, None]),
        )


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_radii_are_those_of_numbers_where_all_features_have_the_same_bounds(norm: Norm) -> None:
    numbers = opened(None, norm=norm, radius=0.5, levels=256)
    tensors = opened(ALL, norm=norm, radius=0.5, levels=256)
    assert torch.allclose(tensors.problem.radii(), numbers.problem.radii())
    few = opened(norm=norm, radius=0.5, levels=256)
    assert (few.problem.radii() >= tensors.problem.radii()).all()
    limit, known = tensors.problem.measured_limit, numbers.problem.measured_limit
    assert torch.allclose(torch.as_tensor(limit), torch.as_tensor(known, dtype=torch.float64))


def test_linf_rounding_goes_back_by_the_level_of_each_feature() -> None:
    high = torch.linspace(1, 3, 12, dtype=torch.float64)
    search = opened(
        None, bounds=(torch.zeros(12).double(), high), norm="linf", radius=0.2, levels=9
    )
    problem = search.problem
    moved = problem.feasible_(problem.origins + 0.2)
    assert ((moved - problem.origins).abs() <= 0.2001).all()
    grid = moved / (high / 8)
    assert torch.allclose(grid, grid.round())


def test_an_incumbent_has_a_limit_for_each_sample() -> None:
    origins = torch.zeros(3, 2)
    incumbent = Incumbent(origins, "l2", torch.tensor([0.5, 2.0, 0.5]))
    incumbent.offer(torch.full((3, 2), 1.0), torch.tensor([True, True, True]))
    assert incumbent.distances.isfinite().tolist() == [False, True, False]
    part = incumbent.part(torch.tensor([2, 1]))
    part.offer(torch.full((2, 2), 0.1), torch.tensor([True, True]))
    part.offer(torch.full((2, 2), 0.05), torch.tensor([True, False]))
    assert part.distances.tolist() == pytest.approx([0.05 * 2**0.5, 0.1 * 2**0.5])


def test_the_inset_of_equal_bounds_is_that_of_numbers() -> None:
    points = torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.2, 0.0]])
    tensors = boxes.for_batch((torch.zeros(3), torch.ones(3)), points)
    assert torch.allclose(inset(points, tensors), inset(points, (0.0, 1.0)), atol=0, rtol=1e-7)


def test_the_inset_moves_no_feature_beyond_its_own_bounds_or_that_cannot_change() -> None:
    points = torch.tensor([[0.0, 0.0, 7.0, 5.0, -100.0]])
    low = torch.tensor([[0.0, 0.0, 7.0, -math.inf, -100.0]])
    high = torch.tensor([[1e-7, 1.0, 7.0, math.inf, 1e6]])
    inside = inset(points, (low, high))
    assert ((inside >= low) & (inside <= high)).all()
    assert inside[0, 2:4].tolist() == [7, 5]
    assert (inside != points)[0].tolist() == [True, True, False, False, True]
    assert at_bounds(points, (low, high))[0].tolist() == [True, True, False, False, True]
    assert inset(points[:0], (low[:0], high[:0])).shape == (0, 5)


def test_a_gradient_that_is_lost_at_a_feature_that_cannot_change_does_not_count() -> None:
    points = torch.tensor([[0.0, 0.3], [0.0, 0.6]])
    gradients = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert may_be_lost(gradients, points, (0.0, 1.0))
    fixed = boxes.masked((0.0, 1.0), points, torch.tensor([False, True]))
    assert not may_be_lost(gradients, points, fixed)
    corner = torch.zeros(2, 2)
    nothing = boxes.masked((0.0, 1.0), corner, torch.tensor([False, True]))
    assert may_be_lost(torch.zeros(2, 2), corner, nothing)


def test_lost_gradients_are_found_in_channels_with_bounds_of_their_own() -> None:
    low, high = torch.tensor([[-2.0, 0.0, 5.0]]), torch.tensor([[2.0, 1.0, 5.0]])
    model = Linear(3, 4)
    inputs = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)) * (high - low) + low

    def clamped(points: Tensor) -> Tensor:
        logits: Tensor = model(torch.maximum(torch.minimum(points, high), low))
        return logits

    assert loses_gradients(clamped, inputs, (low, high))
    assert not loses_gradients(model, inputs, (low, high))
    assert not loses_gradients(clamped, inputs, (torch.full((3,), -math.inf), math.inf))
