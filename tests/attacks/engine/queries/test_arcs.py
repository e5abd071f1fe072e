"""Arcs: their estimates and turns against planes, whose closest points are known."""

import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, problem
from minnorm.attacks import decision_pursuit
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.queries.arcs import averaged, first_course, turned_along_arc
from minnorm.attacks.engine.queries.bases import basis_of
from minnorm.attacks.engine.queries.images import images
from minnorm.attacks.engine.queries.lines import Line
from minnorm.attacks.engine.queries.quota import Quota
from reference.linear import optimal_distances

DISTANCE = 0.1


class Bowl(torch.nn.Module):
    """Two classes, and a boundary that bends away from the inputs, which are 0.

    Args:
        normals: The normal of each sample.
        bend: How fast the boundary retreats beside it.
    """

    def __init__(self, normals: Tensor, bend: float) -> None:
        super().__init__()
        self.normals, self.bend = normals, bend

    def forward(self, points: Tensor) -> Tensor:
        """Return logits of 0, and of how far the points are beyond the boundary."""
        flat = points.flatten(1)
        heights = (flat * self.normals).sum(1)
        beside = flat.square().sum(1) - heights.square()
        return torch.stack([torch.zeros_like(heights), heights - DISTANCE - self.bend * beside], 1)


def planes(bend: float = 0.0) -> tuple[Quota, Tensor, Tensor, Tensor]:
    """Return a quota for planes, their normals, lines to them, and what these hardly know."""
    generator = torch.Generator().manual_seed(0)
    first, second, third = torch.linalg.qr(
        torch.randn(4, 300, 3, dtype=torch.float64, generator=generator)
    )[0].unbind(2)
    cosines = torch.tensor([0.05, 0.1, 0.1, 0.2], dtype=torch.float64).unsqueeze(1)
    more = torch.tensor([0.1, 0.1, 0.3, 0.05], dtype=torch.float64).unsqueeze(1)
    normals = cosines * first + more * second + (1 - cosines**2 - more**2).sqrt() * third
    inputs = torch.zeros(4, 300, dtype=torch.float64)
    with open_search(
        Bowl(normals, bend).eval(),
        inputs,
        torch.zeros(4, dtype=torch.int64),
        targeted=False,
        bounds=(-10.0, 10.0),
        mask=None,
        generator=None,
        norm="l2",
        starts=None,
        levels=None,
        access="decisions",
    ) as search:
        return Quota(search, 10_000), normals, first, second


def line_to(directions: Tensor, normals: Tensor) -> Line:
    high = DISTANCE / (directions * normals).sum(1)
    return Line(directions, 0.999 * high, high * (1 + 1e-9))


def test_a_turn_ends_at_the_closest_point_in_its_plane() -> None:
    quota, normals, first, second = planes()
    course = first_course(line_to(first, normals))
    cosines = torch.stack([(one * normals).sum(1) for one in (first, second)])
    for _ in range(3):  # what one turn leaves, the next ones find
        course = turned_along_arc(quota, course, second)
    assert torch.allclose(course.line.high, DISTANCE / cosines.norm(dim=0), rtol=0.01)


def test_a_turn_away_from_the_normal_changes_nothing() -> None:
    quota, normals, first, second = planes()
    line = line_to(first, normals)
    course = turned_along_arc(quota, first_course(line), -second)
    assert torch.equal(course.line.directions, first)
    assert (course.line.high <= line.high).all()
    assert (course.slopes < first_course(line).slopes).all()


@pytest.mark.parametrize("bend", [0.0, 0.005])
def test_an_average_is_close_to_the_normal_even_if_the_boundary_bends(bend: float) -> None:
    quota, normals, first, _ = planes(bend)
    high = DISTANCE / (first * normals).sum(1)
    for _ in range(50):  # the length that the bend leads to
        high = (DISTANCE + bend * high**2 * (1 - (first * normals).sum(1) ** 2)) / (
            first * normals
        ).sum(1)
    course = first_course(Line(first, 0.999 * high, high * (1 + 1e-9)))
    basis = basis_of(torch.zeros(1, 300))
    course, ascent = averaged(
        quota,
        basis,
        course,
        probes=300,
        radius=0.1,
        candidates=images(quota.search, basis),
    )
    found = (ascent * normals).sum(1) / ascent.norm(dim=1)
    # The mean of as many signs as there are features: the root of 2 / pi / (1 + 2 / pi).
    assert (found > 0.5).all()


def test_wide_inputs_come_nearer_than_random_directions() -> None:
    model, inputs, labels = problem((3, 90, 90), batch=4, classes=3, network=Linear, seed=1)
    result = decision_pursuit(model, inputs, labels, budget=250)
    best = optimal_distances(model.weight, model.bias, inputs, labels, targeted=False, norm="l2")
    assert (result.distances >= best).all()
    assert (result.distances / best).median() < 40


def test_no_more_features_than_beliefs_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs, labels = problem((20,), batch=4, network=Linear)
    believed = decision_pursuit(model, inputs, labels, budget=300)
    monkeypatch.setattr("minnorm.attacks.engine.queries.rounds._MOST_FEATURES", 19)
    averages = decision_pursuit(model, inputs, labels, budget=300)
    assert not torch.equal(believed.distances, averages.distances)
    assert averages.success.all()
