"""PDGD: its transcription."""

from typing import Any

import pytest

from attacks.gradient.stepwise import check_transcription, each_box
from minnorm.attacks import pdgd
from minnorm.geometry import Bounds
from reference.pdgd import pdgd_of_one_sample


@each_box
@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 30},
        {"steps": 1},
        {"steps": 20, "step_size": 0.02, "dual_step_size": 8.0, "initial_ratio": 0.3},
    ],
    ids=str,
)
def test_transcription(settings: dict[str, Any], *, targeted: bool, bounds: Bounds) -> None:
    check_transcription(pdgd, pdgd_of_one_sample, targeted=targeted, bounds=bounds, **settings)
