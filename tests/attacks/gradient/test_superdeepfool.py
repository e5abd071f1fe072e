"""SuperDeepFool: its transcription, where it ends, and its final bisection."""

import torch

from attacks.gradient.stepwise import SAMPLES, check_same, each_box, one_sample, visited
from attacks.networks import problem
from minnorm.attacks import deepfool, superdeepfool
from minnorm.attacks.engine.opening import open_search
from minnorm.geometry import Bounds
from reference.superdeepfool import superdeepfool_of_one_sample


@each_box
def test_transcription(*, targeted: bool, bounds: Bounds) -> None:
    settings = {"steps": 5, "crossing_steps": 20, "targeted": targeted}
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected = superdeepfool_of_one_sample(model, x, y, **settings)
        found, _ = visited(superdeepfool, model, x, y, bounds=bounds, bisections=0, **settings)
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
