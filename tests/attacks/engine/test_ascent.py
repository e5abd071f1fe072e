"""Projected ascent inside balls."""

from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import problem_of, search_on, small_problem, threshold
from attacks.networks import Recorded
from minnorm.attacks.engine.ascent import ascend, default_step_size
from minnorm.attacks.engine.search import Search
from minnorm.geometry import Norm, norms
from reference.pgd import pgd_of_one_sample


class Reporting(Search):
    """A search that keeps the progress that was reported."""

    def report_progress(self, share: float) -> bool:
        self.reported = [*getattr(self, "reported", []), share]
        return False


def test_the_default_step_size_reaches_every_point_of_the_ball() -> None:
    assert default_step_size(0.5, 10) == 0.125
    assert default_step_size(2.0, 40) == 0.125


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_the_steps_are_those_of_pgd(norm: Norm, targeted: bool) -> None:
    model, inputs, labels = small_problem(batch=6)
    wanted = (labels + 1) % 5 if targeted else labels
    recorded = Recorded(model)
    search = search_on(recorded, inputs, wanted, targeted=targeted, norm=norm)
    epsilon = 0.6 if norm == "l2" else 0.2
    radii = torch.full((6,), epsilon, dtype=torch.float64)
    last = ascend(search, inputs, radii, steps=8, step_size=0.1)
    settings: dict[str, Any] = {"epsilon": epsilon, "steps": 8, "step_size": 0.1}
    assert len(recorded.batches) == 8  # the last points are only returned
    for index in range(6):
        points = pgd_of_one_sample(
            model, inputs[index], int(wanted[index]), targeted=targeted, norm=norm, **settings
        )
        for batch, point in zip([*recorded.batches, last], points, strict=True):
            torch.testing.assert_close(batch[index], point, atol=1e-9, rtol=0)


def test_radii_and_steps_are_in_units_and_each_sample_has_its_own_radius() -> None:
    inputs = torch.full((2, 1), 8.0)
    search = search_on(lambda points: threshold(points / 16), inputs, bounds=(0.0, 16.0))
    radii = torch.tensor([0.125, 0.375])
    points = ascend(search, inputs, radii, steps=1, step_size=0.25)
    assert points.tolist() == [[10], [12]]
    points = ascend(search, inputs, radii, steps=2, step_size=0.25)
    assert points.tolist() == [[10], [14]]
    assert inputs.tolist() == [[8], [8]]


def test_another_direction_may_be_climbed() -> None:
    inputs = torch.full((2, 1), 0.5)
    search = search_on(threshold, inputs)

    def down(logits: Tensor) -> Tensor:
        return torch.tensor([0.0, -1.0]).expand_as(logits)

    radii = torch.ones(2)
    for until_found in (False, True):
        points = ascend(
            search, inputs, radii, steps=2, step_size=0.125, direction=down, until_found=until_found
        )
        assert points.tolist() == [[0.25], [0.25]]


def test_without_a_gradient_the_direction_is_noise() -> None:
    inputs = torch.full((2, 3), 0.5)
    search, twin = (search_on(lambda points: 0 * points[:, :2], inputs, seed=6) for _ in range(2))
    points = ascend(search, inputs, torch.ones(2), steps=1, step_size=0.1)
    noise = twin.noise()
    torch.testing.assert_close(points - 0.5, (0.1 * noise / noise.norm()).expand(2, 3))


def test_samples_leave_when_an_adversarial_has_been_found() -> None:
    recorded = Recorded(threshold)
    inputs = torch.tensor([[0.1], [0.35], [0.9], [0.15]])
    search = search_on(recorded, inputs)
    radii = torch.tensor([0.15, 0.5, 0.5, 0.5])
    points = ascend(search, inputs, radii, steps=4, step_size=0.1, until_found=True)
    # The third one is misclassified, which the first step notices; the second one crosses in two
    # steps, the last one after four. The first one cannot leave its ball.
    sizes = [len(batch) for batch in recorded.batches]
    assert sizes == [4, 3, 3, 2]
    assert search.rows.tolist() == [0, 3]
    torch.testing.assert_close(points, torch.tensor([[0.25], [0.55]]))
    assert search.result().success.tolist() == [False, True, True, False]


def test_it_ends_when_all_samples_have_left() -> None:
    recorded = Recorded(threshold)
    inputs = torch.tensor([[0.7], [0.9]])
    search = search_on(recorded, inputs)
    points = ascend(search, inputs, torch.ones(2), steps=9, step_size=0.1, until_found=True)
    assert points.shape == (0, 1)
    assert len(recorded.batches) == 1


def test_samples_stay_unless_they_may_leave() -> None:
    recorded = Recorded(threshold)
    inputs = torch.tensor([[0.7], [0.1]])
    search = search_on(recorded, inputs)
    points = ascend(search, inputs, torch.ones(2), steps=9, step_size=0.1)
    assert [len(batch) for batch in recorded.batches] == [2] * 9
    torch.testing.assert_close(points, torch.tensor([[1.0], [1.0]]))


def test_the_gradients_of_those_who_stay_follow_their_own_labels() -> None:
    model, inputs, labels = small_problem(batch=20)
    inputs = torch.cat([inputs, inputs])
    wrong = torch.cat([(labels + 1) % 5, labels])  # the first half is misclassified
    settings: dict[str, Any] = {"steps": 3, "step_size": 0.02}
    radii = torch.full((40,), 0.5, dtype=torch.float64)
    mixed = search_on(model, inputs, wrong)
    found = ascend(mixed, inputs, radii, until_found=True, **settings)
    alone = search_on(model, inputs[20:], labels)
    expected = ascend(alone, inputs[20:], radii[20:], until_found=True, **settings)
    torch.testing.assert_close(found, expected)
    assert (norms(found - inputs[mixed.rows]) > 0).all()


def test_it_reports_its_progress_before_each_step() -> None:
    search = Reporting(problem_of(torch.zeros(1, 2)), threshold)
    ascend(search, search.problem.origins, torch.ones(1), steps=4, step_size=0.01)
    assert search.reported == [0, 0.25, 0.5, 0.75]
