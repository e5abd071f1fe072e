"""The linear model of the classifier: the nearest boundary, and steps across it."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import linear, search_on, small_problem, threshold
from attacks.networks import Recorded
from minnorm.attacks.engine.linear_model import (
    boundary_step,
    cross_boundary,
    likeliest_rivals,
    nearest_boundary,
    shortest_step,
)
from minnorm.geometry import Norm, dual_norms, norms
from minnorm.logits import likeliest_others
from reference.deepfool import deepfool_of_one_sample

both_norms = pytest.mark.parametrize("norm", ["l2", "linf"])


class NotANumber(torch.autograd.Function):
    """NaN, with the gradient of the identity."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        return values * torch.nan

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


@pytest.mark.parametrize("candidates", [1, 3, 9])
def test_the_rivals_are_the_likeliest_other_classes(candidates: int) -> None:
    model, inputs, labels = small_problem()
    search = search_on(model, inputs, labels)
    logits = model(inputs)
    expected = likeliest_others(logits, labels, candidates)
    assert torch.equal(likeliest_rivals(search, logits, candidates), expected)


def test_targeted_there_is_one_column_of_rivals() -> None:
    model, inputs, labels = small_problem()
    search = search_on(model, inputs, labels, targeted=True)
    assert torch.equal(likeliest_rivals(search, model(inputs), 9), labels.unsqueeze(1))


@both_norms
@pytest.mark.parametrize("candidates", [1, 2, 4])
def test_the_nearest_boundary_of_a_linear_model_is_the_nearest_among_the_rivals(
    candidates: int, norm: Norm
) -> None:
    model, inputs, labels = small_problem(batch=30, curved=False)
    search = search_on(model, inputs, labels, norm=norm)
    visit = search.visit(inputs)
    rivals = likeliest_rivals(search, visit.logits, candidates)
    normals, gaps = nearest_boundary(search, visit, rivals)
    order = 2 if norm == "l2" else 1
    for index, label in enumerate(labels.tolist()):
        options = []
        for rival in rivals[index].tolist():
            normal = model.weight[rival] - model.weight[label]
            gap = float(visit.logits[index, label] - visit.logits[index, rival])
            options.append((gap / float(normal.norm(p=order)), gap, normal))
        _, gap, normal = min(options, key=lambda option: option[0])
        torch.testing.assert_close(normals[index], normal)
        assert float(gaps[index]) == pytest.approx(gap)


def test_boundaries_are_near_by_their_distance_on_either_side() -> None:
    # Beyond the boundary of class 1 by 1, before that of class 2 by 2: the first is nearer.
    model = linear([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.0, 1.0, -2.0])
    search = search_on(model, torch.zeros(1, 2))
    normals, gaps = nearest_boundary(
        search, search.visit(torch.zeros(1, 2)), torch.tensor([[2, 1]])
    )
    assert normals.tolist() == [[1, 0]]
    assert gaps.tolist() == [-1]


def test_of_boundaries_at_the_same_distance_the_first_one_counts() -> None:
    model = linear([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.0, -1.0, -1.0])
    for rivals in ([[1, 2]], [[2, 1]]):
        search = search_on(model, torch.zeros(1, 2))
        visit = search.visit(torch.zeros(1, 2))
        normals, _ = nearest_boundary(search, visit, torch.tensor(rivals))
        assert normals.tolist() == ([[1, 0]] if rivals[0][0] == 1 else [[0, 1]])


@both_norms
def test_targeted_the_boundary_is_that_with_the_likeliest_class(norm: Norm) -> None:
    model, inputs, labels = small_problem(batch=30, curved=False)
    wanted = (labels + 1) % 5
    search = search_on(model, inputs, wanted, targeted=True, norm=norm)
    visit = search.visit(inputs)
    normals, gaps = nearest_boundary(search, visit, wanted.unsqueeze(1))
    torch.testing.assert_close(normals, model.weight[wanted] - model.weight[labels])
    differences = visit.logits.gather(1, torch.stack([labels, wanted], 1))
    torch.testing.assert_close(gaps, differences[:, 0] - differences[:, 1])


def test_normals_are_per_unit() -> None:
    search = search_on(threshold, torch.tensor([[0.25]]), bounds=(0.0, 4.0))
    visit = search.visit(torch.tensor([[0.25]]))
    normals, gaps = nearest_boundary(search, visit, torch.tensor([[1]]))
    assert normals.tolist() == [[8]]
    assert gaps.tolist() == [0.5]


def test_without_a_gradient_the_normal_is_noise_and_the_boundary_a_tenth_away() -> None:
    def model(points: Tensor) -> Tensor:
        # The first gradient is zero, the second infinite, the third NaN.
        none, infinite, undefined, sound = points.sum(1).unbind()
        rises = torch.stack([0 * none, (infinite - 1).sqrt(), torch.nan * undefined, sound])
        return torch.stack([torch.ones_like(rises), rises], 1)

    inputs = torch.full((4, 2), 0.5)
    search, twin = (search_on(model, inputs, seed=4) for _ in range(2))
    normals, gaps = nearest_boundary(search, search.visit(inputs), torch.ones(4, 1).long())
    noise = twin.noise()
    for normal in normals[:3]:
        torch.testing.assert_close(normal, (noise / noise.norm())[0])
    assert gaps.tolist() == [pytest.approx(0.1)] * 3 + [0]
    assert normals[3].tolist() == [1, 1]


def test_a_gap_of_nan_counts_as_zero_if_there_is_a_gradient() -> None:
    search = search_on(lambda points: NotANumber.apply(threshold(points)), torch.zeros(1, 2))
    normals, gaps = nearest_boundary(search, search.visit(torch.zeros(1, 2)), torch.tensor([[1]]))
    assert normals.tolist() == [[2, 0]]
    assert gaps.tolist() == [0]


@pytest.mark.parametrize("targeted", [False, True])
def test_the_graph_is_freed_after_the_last_rival(targeted: bool) -> None:
    model, inputs, labels = small_problem()
    search = search_on(model, inputs, labels, targeted=targeted)
    visit = search.visit(inputs)
    nearest_boundary(search, visit, likeliest_rivals(search, visit.logits, 3))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        visit.pull_back(torch.ones_like(visit.logits))


def test_gaps_have_the_dtype_of_the_distances_if_logits_are_wider() -> None:
    inputs = torch.tensor([[0.25]])
    search = search_on(lambda points: threshold(points).double(), inputs)
    normals, gaps = nearest_boundary(search, search.visit(inputs), torch.tensor([[1]]))
    assert normals.dtype == gaps.dtype == torch.float32
    assert gaps.tolist() == [0.5]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_shortest_step_is_a_ten_thousandth_or_what_rounding_needs(dtype: torch.dtype) -> None:
    search = search_on(threshold, torch.zeros(2, 4, dtype=dtype))
    expected = 1e-4 if dtype == torch.float32 else 2**-7 / 4 * 2
    assert shortest_step(search).tolist() == pytest.approx([expected] * 2)


@both_norms
def test_a_step_ends_a_little_beyond_the_boundary(norm: Norm) -> None:
    model, inputs, labels = small_problem(curved=False)
    search = search_on(model, inputs, labels, norm=norm)
    normals = torch.randn(8, 10, generator=torch.Generator().manual_seed(0)).to(inputs)
    gaps = torch.linspace(-1.0, 3.0, 8).to(inputs)
    steps = boundary_step(search, normals, gaps)
    rates = dual_norms(normals, norm)
    lengths = gaps.clamp_min(0) / rates + 1e-4
    torch.testing.assert_close(norms(steps, norm), lengths)
    torch.testing.assert_close((steps * normals).sum(1), lengths * rates)


def test_a_step_has_the_dtype_of_the_inputs() -> None:
    search = search_on(threshold, torch.zeros(2, 4, dtype=torch.float16))
    normals = torch.ones(2, 4, dtype=torch.float16)
    steps = boundary_step(search, normals, torch.tensor([1.0, 2.0]))
    assert steps.dtype == torch.float16
    assert steps[:, 0].tolist() == pytest.approx([0.25, 0.5], rel=2e-3)


@both_norms
def test_the_steps_across_are_those_of_deepfool(norm: Norm) -> None:
    model, inputs, labels = small_problem(batch=12)
    search = search_on(model, inputs, labels, norm=norm)
    reached = cross_boundary(search, inputs, steps=20, candidates=9, overshoot=0.02)
    for index in range(12):
        expected = deepfool_of_one_sample(
            model, inputs[index], int(labels[index]), norm=norm, steps=20
        )
        torch.testing.assert_close(reached[index], expected[-1], atol=1e-9, rtol=0)
    result = search.result()
    assert result.success.all()
    torch.testing.assert_close(result.adversarials, reached)


@pytest.mark.parametrize(("overshoot", "bounds"), [(0.0, (0.0, 1.0)), (0.5, (0.0, 4.0))])
def test_a_step_overshoots_by_a_share_of_its_length(
    overshoot: float, bounds: tuple[float, float]
) -> None:
    search = search_on(threshold, torch.tensor([[0.3]]), bounds=bounds)
    reached = cross_boundary(
        search, search.problem.origins, steps=9, candidates=1, overshoot=overshoot
    )
    length = 0.2 + 1e-4 * bounds[1]
    assert float(reached) == pytest.approx(0.3 + (1 + overshoot) * length)


def test_samples_that_have_crossed_leave_and_the_others_go_on() -> None:
    # Two samples cross at once; the third one takes some steps of a curved boundary.
    model, inputs, labels = small_problem(batch=30)
    recorded = Recorded(model)
    search = search_on(recorded, inputs, labels)
    starts = inputs.clone()
    reached = cross_boundary(search, starts, steps=50, candidates=4, overshoot=0.0)
    assert torch.equal(starts, inputs)
    sizes = [len(batch) for batch in recorded.batches]
    assert sizes == sorted(sizes, reverse=True)
    assert 0 < sizes[-1] < 30
    assert len(sizes) < 20
    assert (model(reached).argmax(1) != labels).all()
    for index in range(0, 30, 5):
        alone = search_on(model, inputs[[index]], labels[[index]])
        single = cross_boundary(alone, inputs[[index]], steps=50, candidates=4, overshoot=0.0)
        torch.testing.assert_close(single[0], reached[index], atol=1e-9, rtol=0)


def test_a_batch_without_misclassified_samples_left_ends_at_once() -> None:
    recorded = Recorded(threshold)
    inputs = torch.tensor([[0.75], [0.9]])
    search = search_on(recorded, inputs)
    reached = cross_boundary(search, inputs, steps=50, candidates=1, overshoot=0.02)
    assert torch.equal(reached, inputs)
    assert len(recorded.batches) == 1
    assert search.result().distances.tolist() == [0, 0]


@pytest.mark.parametrize("steps", [1, 5, 7, 9])
def test_it_takes_no_more_steps_than_allowed_and_evaluates_the_last_point(steps: int) -> None:
    recorded = Recorded(lambda points: threshold(points) * 0 + torch.tensor([1.0, 0.0]))
    inputs = torch.full((2, 3), 0.5)
    search = search_on(recorded, inputs)
    reached = cross_boundary(search, inputs, steps=steps, candidates=1, overshoot=0.0)
    assert len(recorded.batches) == steps + 1
    assert torch.equal(recorded.batches[-1], reached)
    lengths = norms(recorded.batches[1] - recorded.batches[0])
    assert lengths.tolist() == pytest.approx([0.1 + 1e-4] * 2)


def test_a_sample_that_has_crossed_stays_where_it_is_until_it_leaves() -> None:
    # Half steps: after six of them the sample is across, which is noticed at the seventh point.
    # Only after the eighth step do samples leave.
    recorded = Recorded(threshold)
    inputs = torch.tensor([[0.5 - 5e-3], [0.1]], dtype=torch.float64)
    search = search_on(recorded, inputs)
    reached = cross_boundary(search, inputs, steps=8, candidates=1, overshoot=-0.5)
    path = [float(batch[0]) for batch in recorded.batches[:8]]
    assert path[5] < 0.5 < path[6]
    assert path[7] == path[6]
    assert float(reached[0]) == path[6]
    assert len(recorded.batches[-1]) == 1
    assert float(reached[1]) == float(recorded.batches[-1])
    assert math.isinf(search.result().distances[1])


@pytest.mark.parametrize("steps", [7, 8])
def test_the_last_points_are_returned_whether_or_not_samples_were_dropped(steps: int) -> None:
    inputs = torch.tensor([[0.5 - 5e-3], [0.1]], dtype=torch.float64)
    search = search_on(threshold, inputs)
    reached = cross_boundary(search, inputs, steps=steps, candidates=1, overshoot=-0.5)
    gap = 0.4
    for _ in range(steps):
        gap -= (gap + 1e-4) / 2
    assert float(reached[1]) == pytest.approx(0.5 - gap)
    assert 0.5 < float(reached[0]) < 0.501
