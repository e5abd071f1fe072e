"""FGSM: one step of PGD, as long as the radius."""

from attacks.gradient.stepwise import (
    SAMPLES,
    check_closest,
    check_same,
    each_norm_and_box,
    one_sample,
    visited,
)
from minnorm.attacks import fgsm
from minnorm.geometry import Bounds, Norm
from reference.pgd import pgd_of_one_sample


@each_norm_and_box
def test_transcription(*, norm: Norm, targeted: bool, bounds: Bounds) -> None:
    width = bounds[1] - bounds[0]
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected = pgd_of_one_sample(
            model, x, y, targeted=targeted, norm=norm, epsilon=0.3, steps=1, step_size=0.3
        )
        found, result = visited(
            fgsm, model, x, y, targeted=targeted, bounds=bounds, norm=norm, epsilon=0.3 * width
        )
        check_same(found, expected)
        check_closest(result, model, expected, x, y, targeted=targeted, norm=norm)
