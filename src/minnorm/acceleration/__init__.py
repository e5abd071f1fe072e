"""Acceleration: models made fast for gradients to their inputs."""

from minnorm.acceleration.accelerated import Accelerated, Classifier, original
from minnorm.acceleration.answer import answer
from minnorm.acceleration.batch_size import choose_batch_size
from minnorm.acceleration.memory import is_out_of_memory, keep_freed_memory
from minnorm.acceleration.prepare import SAMPLES, accelerate, check_use
from minnorm.acceleration.timing import repeated, seconds_now

__all__ = [
    "SAMPLES",
    "Accelerated",
    "Classifier",
    "accelerate",
    "answer",
    "check_use",
    "choose_batch_size",
    "is_out_of_memory",
    "keep_freed_memory",
    "original",
    "repeated",
    "seconds_now",
]
