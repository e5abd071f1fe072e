"""SuperDeepFool: its transcription, where it ends, and its final bisection."""

from typing import Any

import pytest
import torch

from attacks.gradient.stepwise import SAMPLES, TARGETED, UNTARGETED, check_same, one_sample, visited
from attacks.networks import problem
from minnorm.attacks import deepfool, superdeepfool
from minnorm.attacks.engine.opening import open_search
from reference.superdeepfool import superdeepfool_of_one_sample


@pytest.mark.parametrize("box", [UNTARGETED, TARGETED], ids=str)
def test_transcription(box: dict[str, Any]) -> None:
    targeted = box["targeted"]
    settings: dict[str, Any] = {"steps": 5, "crossing_steps": 20}
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected = superdeepfool_of_one_sample(model, x, y, targeted=targeted, **settings)
        found, _ = visited(superdeepfool, model, x, y, bisections=0, **settings, **box)
        # The steps of DeepFool are between the projections.
        places = [
            min(range(len(found)), key=lambda place: float((found[place] - point).norm()))
            for point in expected
        ]
        check_same([found[place] for place in places], expected)
        assert places == sorted(places)


def test_ends_where_the_perturbation_is_parallel_to_the_normal() -> None:
    model, inputs, labels = problem((1, 4, 4), dtype=torch.float64)
    result = superdeepfool(model, inputs, labels)
    plain = deepfool(model, inputs, labels)
    assert result.success.all()
    assert result.distances.mean() < plain.distances.mean()
    with open_search(
        model, inputs, labels, targeted=False, bounds=(0.0, 1.0), generator=None
    ) as search:
        visit = search.visit(result.adversarials)
        normals = -visit.pull_back(search.goal.margin_direction(visit.logits))
    moves = result.adversarials - inputs
    inside = (result.adversarials > 0) & (result.adversarials < 1)
    cosines = torch.cosine_similarity((moves * inside).flatten(1), (normals * inside).flatten(1))
    assert cosines.median() > 0.95


def test_the_bisection_stops_before_rounding_decides() -> None:
    model, inputs, labels = problem((1, 4, 4), batch=60)
    found = superdeepfool(model, inputs, labels, bisections=30)
    one_by_one = torch.cat([model(point[None]).argmax(1) for point in found.adversarials])
    assert torch.equal(one_by_one != labels, found.success)
