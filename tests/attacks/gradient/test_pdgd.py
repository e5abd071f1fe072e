"""PDGD: its transcription."""

from typing import Any

import pytest

from attacks.gradient.stepwise import TARGETED, UNTARGETED, check_transcription
from minnorm.attacks import pdgd
from reference.pdgd import pdgd_of_one_sample


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 30, **UNTARGETED},
        {"steps": 30, **TARGETED},
        {"steps": 1, **UNTARGETED},
        {
            "steps": 20,
            "step_size": 0.02,
            "dual_step_size": 8.0,
            "initial_ratio": 0.3,
            **TARGETED,
        },
    ],
    ids=str,
)
def test_transcription(settings: dict[str, Any]) -> None:
    check_transcription(pdgd, pdgd_of_one_sample, **settings)
