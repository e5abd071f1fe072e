"""FGSM: one step of PGD, as long as the radius."""

from typing import Any

from attacks.gradient.stepwise import (
    SAMPLES,
    check_closest,
    check_same,
    in_each_norm,
    one_sample,
    visited,
)
from minnorm.attacks import fgsm
from reference.pgd import pgd_of_one_sample


@in_each_norm
def test_transcription(settings: dict[str, Any]) -> None:
    norm, targeted, bounds = (settings[name] for name in ("norm", "targeted", "bounds"))
    width = bounds[1] - bounds[0]
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected = pgd_of_one_sample(
            model, x, y, targeted=targeted, norm=norm, epsilon=0.3, steps=1, step_size=0.3
        )
        found, result = visited(fgsm, model, x, y, epsilon=0.3 * width, **settings)
        check_same(found, expected)
        check_closest(result, model, expected, x, y, targeted=targeted, norm=norm)
