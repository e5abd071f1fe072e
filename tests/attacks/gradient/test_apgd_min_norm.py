"""APGD as a minimum-norm attack: its radii, and its losses."""

from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from minnorm.attacks import apgd_min_norm
from minnorm.attacks.engine.adaptive_ascent import maximize
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.search import Search
from minnorm.boxes import Interval
from reference.apgd_min_norm import radii_of_one_sample


@pytest.mark.parametrize(
    ("initial_norm", "bounds"), [(0.1, (0.0, 1.0)), (1.0, (-1.0, 3.0)), (8.0, (0.0, 1.0))]
)
def test_the_radii_are_those_of_the_transcription(
    initial_norm: float, bounds: Interval, monkeypatch: pytest.MonkeyPatch
) -> None:
    low, high = bounds
    width = high - low
    radii: list[float] = []
    found: list[float | None] = []

    def recorded(search: Search, radius: Tensor, **settings: Any) -> None:
        maximize(search, radius, **settings)
        radii.append(float(radius))
        success = search.incumbent.distances.isfinite()
        found.append(float(search.incumbent.distances) / width if success else None)

    monkeypatch.setattr("minnorm.attacks.gradient.apgd_min_norm.maximize", recorded)
    model, inputs, labels = problem((20,), batch=1, dtype=torch.float64)
    result = apgd_min_norm(
        lambda points: model((points - low) / width),
        low + width * inputs,
        labels,
        bounds=bounds,
        steps=5,
        searches=8,
        initial_norm=initial_norm,
    )
    assert radii == pytest.approx(radii_of_one_sample(initial_norm, found))
    distances = [distance for distance in found if distance is not None]
    assert any(distance is None for distance in found)
    assert float(result.distances) / width == pytest.approx(min(distances))


@pytest.mark.parametrize(("classes", "loss"), [(3, "dlr"), (4, "targeted-dlr")])
def test_a_ratio_finds_what_the_cross_entropy_finds(classes: int, loss: Any) -> None:
    model, inputs, labels = problem((20,), classes=classes, dtype=torch.float64)
    settings: dict[str, Any] = {"steps": 10, "searches": 8}
    plain = apgd_min_norm(model, inputs, labels, **settings)
    ratio = apgd_min_norm(model, inputs, labels, loss=loss, **settings)
    assert ratio.success.all()
    assert (ratio.distances < 1.1 * plain.distances).all()


@pytest.mark.parametrize("classes", [3, 5])
def test_the_targeted_ratio_has_a_gradient_for_the_third_likeliest_class(classes: int) -> None:
    model, inputs, _ = problem((20,), batch=50, classes=classes)
    third = model(inputs).argsort(1, descending=True)[:, 2]
    with open_search(
        model, inputs, third, targeted=True, bounds=(0.0, 1.0), generator=None
    ) as search:
        values, directions = search.goal.logits_ratios(model(inputs))
    assert (values > 0).all()
    assert (directions.norm(dim=1) > 0).all()
    settings: dict[str, Any] = {"targeted": True, "steps": 10, "searches": 8}
    by_ratio = apgd_min_norm(model, inputs, third, loss="dlr", **settings)
    by_entropy = apgd_min_norm(model, inputs, third, **settings)
    assert by_ratio.distances.median() < 1.1 * by_entropy.distances.median()
