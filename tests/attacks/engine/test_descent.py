"""The descent of DDN, step by step where it can be calculated by hand."""

import math

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import linear, problem_of, search_on, small_problem, threshold
from attacks.networks import Recorded
from minnorm.attacks.engine.descent import descend
from minnorm.attacks.engine.search import Search
from minnorm.geometry import norms
from minnorm.schedules import cosine
from reference.ddn import ddn_of_one_sample


class Reporting(Search):
    """A search that keeps the progress that was reported."""

    def report_progress(self, share: float) -> bool:
        self.reported = [*getattr(self, "reported", []), share]
        return False


def test_the_radius_shrinks_after_an_adversarial_and_grows_after_another_point() -> None:
    recorded = Recorded(threshold)
    inputs = torch.tensor([[1.0], [0.5]], dtype=torch.float64)
    labels = torch.tensor([0, 0])
    search = search_on(lambda points: recorded(points / 4), inputs, labels, bounds=(0.0, 4.0))
    descend(search, inputs, steps=12, initial_norm=0.1, gamma=0.25)
    # The boundary is at 2. In one dimension the perturbation is the radius.
    for index, origin in enumerate(inputs.flatten().tolist()):
        point, radius = origin, 0.1
        for batch in recorded.batches:
            assert float(batch[index]) * 4 == pytest.approx(point)
            radius *= 0.75 if point > 2 else 1.25
            point = min(origin + 4 * radius, 4)
            radius = (point - origin) / 4 if point < 4 else radius
    assert len(recorded.batches) == 13
    assert search.result().success.all()


def test_the_radius_does_not_outgrow_the_farthest_corner() -> None:
    recorded = Recorded(lambda points: torch.stack([points[:, 0] + 9, 0 * points[:, 0]], 1))
    search = search_on(recorded, torch.tensor([[0.75, 0.5]]))
    # Without a limit the radius would be infinite after 139 steps, and infinity times 0 is NaN.
    descend(search, search.problem.origins, steps=150, gamma=0.9)
    assert torch.cat(recorded.batches).isfinite().all()


def test_the_farthest_corner_is_measured_in_units() -> None:
    recorded = Recorded(lambda points: threshold(points / 4))
    inputs = torch.tensor([[1.0]])
    search = search_on(recorded, inputs, bounds=(0.0, 4.0))
    descend(search, inputs, steps=2, initial_norm=100, gamma=0.25)
    # The corner is 3 away; the adversarial there shrinks the radius by a quarter.
    assert [float(batch) for batch in recorded.batches] == pytest.approx([1, 4, 1 + 0.75 * 3])


def test_the_direction_turns_by_steps_that_shrink_along_half_a_cosine() -> None:
    recorded = Recorded(linear([[0.0, 0.0], [1.0, 0.0]], [5.0, 0.0]))
    inputs = torch.full((1, 2), 0.5, dtype=torch.float64)
    search = search_on(recorded, inputs)
    starts = torch.tensor([[0.5, 0.6]], dtype=torch.float64)
    descend(search, starts, steps=4, gamma=0.1, step_size=0.05)
    assert torch.equal(recorded.batches[0], starts)
    move, radius = torch.tensor([0.0, 0.1]), 0.1
    for rate, batch in zip(cosine(0.05, 0.0005, 4), recorded.batches[1:], strict=True):
        move = move + torch.tensor([rate, 0.0])
        radius *= 1.1
        move = radius * move / move.norm()
        torch.testing.assert_close(batch[0].float() - 0.5, move)


def test_by_default_the_settings_are_those_of_the_paper() -> None:
    model, inputs, labels = small_problem(batch=4)
    recorded = Recorded(model)
    search = search_on(recorded, inputs, labels)
    descend(search, inputs, steps=10)
    for index in range(4):
        points = ddn_of_one_sample(model, inputs[index], int(labels[index]), steps=10)
        for batch, point in zip(recorded.batches, points, strict=True):
            torch.testing.assert_close(batch[index], point, atol=1e-9, rtol=0)


@pytest.mark.parametrize("targeted", [False, True])
def test_it_comes_near_the_boundary(targeted: bool) -> None:
    model, inputs, labels = small_problem(batch=20, classes=2, curved=False)
    wanted = 1 - labels if targeted else labels
    search = search_on(model, inputs, wanted, targeted=targeted)
    descend(search, inputs, steps=100)
    result = search.result()
    assert result.success.all()
    logits = model(result.adversarials)
    assert (logits[:, 0] - logits[:, 1]).abs().max() < 0.1


def test_samples_begin_with_the_length_of_their_start_or_the_initial_norm() -> None:
    recorded = Recorded(threshold)
    inputs = torch.full((2, 2), 0.5)
    starts = torch.tensor([[0.5, 0.5], [0.5, 0.3]])
    search = search_on(recorded, inputs, torch.ones(2).long())
    descend(search, starts, steps=1, initial_norm=0.3, gamma=0.5, step_size=1e-6)
    lengths = norms(recorded.batches[1] - inputs)
    # A tie at 0.5 belongs to class 0, so the points are adversarial to the label 1.
    assert lengths.tolist() == pytest.approx([0.15, 0.1])


def test_without_a_gradient_the_direction_is_noise() -> None:
    recorded = Recorded(lambda points: torch.tensor([[1.0, 0.0]]).repeat(len(points), 1))
    inputs = torch.full((2, 3), 0.5)
    search, twin = (search_on(recorded, inputs, seed=6) for _ in range(2))
    descend(search, inputs, steps=1, initial_norm=0.1)
    noise = twin.noise()
    expected = 0.105 * noise / noise.norm()
    torch.testing.assert_close(recorded.batches[1] - 0.5, expected.expand(2, 3))


def test_it_reports_its_progress_before_each_step() -> None:
    search = Reporting(problem_of(torch.zeros(1, 2)), threshold)
    descend(search, search.problem.origins, steps=4)
    assert search.reported == [0, 0.25, 0.5, 0.75]


def test_the_points_that_it_is_given_do_not_change() -> None:
    inputs, starts = torch.full((1, 2), 0.25), torch.full((1, 2), 0.3)
    search = search_on(threshold, inputs)
    descend(search, starts, steps=3)
    assert torch.equal(inputs, torch.full((1, 2), 0.25))
    assert torch.equal(starts, torch.full((1, 2), 0.3))


def test_the_last_point_counts() -> None:
    def model(points: Tensor) -> Tensor:
        beyond = (points[:, 0] - 0.5).abs() > 0.2
        return torch.stack([0.5 + 0 * points[:, 0], points[:, 0] * 1e-3 + beyond.float()], 1)

    search = search_on(model, torch.full((1, 1), 0.5))
    descend(search, search.problem.origins, steps=1, initial_norm=0.2)
    assert search.result().distances.tolist() == pytest.approx([0.21])
    assert not math.isinf(search.result().distances.item())
