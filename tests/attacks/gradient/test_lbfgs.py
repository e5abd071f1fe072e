"""L-BFGS: its transcription, and its search for the constant."""

from typing import Any

import pytest

from attacks.gradient.stepwise import (
    SAMPLES,
    TARGETED,
    UNTARGETED,
    check_closest,
    check_same,
    one_sample,
    visited,
)
from attacks.networks import problem
from minnorm.attacks import lbfgs
from reference.lbfgs import lbfgs_of_one_sample


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 5, "searches": 4, **UNTARGETED},
        {"steps": 3, "searches": 5, "initial_constant": 10.0, **TARGETED},
    ],
    ids=str,
)
def test_transcription(settings: dict[str, Any]) -> None:
    settings = dict(settings)
    bounds, targeted = settings.pop("bounds"), settings["targeted"]
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected = lbfgs_of_one_sample(model, x, y, **settings)
        found, result = visited(lbfgs, model, x, y, bounds=bounds, bisections=0, **settings)
        check_same(found, expected)
        check_closest(result, model, expected, x, y, targeted=targeted)


def test_more_searches_find_a_better_constant() -> None:
    model, inputs, labels = problem((20,), batch=3)
    once, often = (
        lbfgs(model, inputs, labels, searches=searches, steps=6, bisections=0)
        for searches in (1, 4)
    )
    assert often.success.all()
    assert often.distances.mean() < 0.9 * once.distances.nan_to_num(posinf=10.0).mean()
