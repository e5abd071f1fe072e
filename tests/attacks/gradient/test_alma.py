"""ALMA: its transcription, also for two classes."""

from typing import Any

import pytest

from attacks.gradient.stepwise import TARGETED, UNTARGETED, check_transcription
from attacks.networks import problem
from minnorm.attacks import alma, ddn
from reference.alma import alma_of_one_sample


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 35, **UNTARGETED},
        {"steps": 35, **TARGETED},
        {"steps": 35, "classes": 2, **UNTARGETED},
        {"steps": 15, "classes": 2, **TARGETED},
        {
            "steps": 25,
            "step_size": 0.03,
            "initial_penalty": 0.2,
            "check_steps": 4,
            "improvement": 0.8,
            "growth": 2.0,
            "smoothing": 0.7,
            **TARGETED,
        },
    ],
    ids=str,
)
def test_transcription(settings: dict[str, Any]) -> None:
    check_transcription(alma, alma_of_one_sample, **settings)


def test_the_margin_of_two_classes_is_scaled_as_well_as_a_ratio() -> None:
    model, inputs, labels = problem((1, 8, 8), batch=100, classes=2)
    found = alma(model, inputs, labels, steps=100)
    reached = ddn(model, inputs, labels, steps=100)
    assert found.distances.mean() < 1.1 * reached.distances.mean()
