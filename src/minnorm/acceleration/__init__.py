"""Acceleration: a model made faster for gradients with respect to its inputs."""

from minnorm.acceleration.accelerated import Accelerated, original
from minnorm.acceleration.acceleration import SAMPLES, accelerate
from minnorm.acceleration.answer import clean_logits
from minnorm.acceleration.batch_size import choose_batch_size
from minnorm.acceleration.timing import repeated, seconds_now
from minnorm.acceleration.words import check_use

__all__ = [
    "SAMPLES",
    "Accelerated",
    "accelerate",
    "check_use",
    "choose_batch_size",
    "clean_logits",
    "original",
    "repeated",
    "seconds_now",
]
