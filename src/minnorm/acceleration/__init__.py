"""Acceleration: a model made faster for gradients with respect to its inputs."""

from minnorm.acceleration.accelerated import Accelerated, original
from minnorm.acceleration.acceleration import SAMPLES, accelerate
from minnorm.acceleration.answer import clean_logits
from minnorm.acceleration.batch_size import (
    choose_batch_size,
    fitting_batch_size,
    measurable_batch_size,
    querying_batch_size,
    usual_batch_size,
)
from minnorm.acceleration.building import GRADIENTS_TO_CHOOSE, seconds_to_build, seconds_to_choose
from minnorm.acceleration.timing import fitting_seconds, measurable, repeated, seconds_now
from minnorm.acceleration.words import AUTO, OFF, check_use

__all__ = [
    "AUTO",
    "GRADIENTS_TO_CHOOSE",
    "OFF",
    "SAMPLES",
    "Accelerated",
    "accelerate",
    "check_use",
    "choose_batch_size",
    "clean_logits",
    "fitting_batch_size",
    "fitting_seconds",
    "measurable",
    "measurable_batch_size",
    "original",
    "querying_batch_size",
    "repeated",
    "seconds_now",
    "seconds_to_build",
    "seconds_to_choose",
    "usual_batch_size",
]


def __dir__() -> list[str]:
    return __all__
