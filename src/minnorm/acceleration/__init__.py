"""Acceleration: models made fast for gradients to their inputs."""

from minnorm.acceleration.accelerated import Accelerated, Classifier
from minnorm.acceleration.memory import keep_freed_memory
from minnorm.acceleration.prepare import accelerate

__all__ = ["Accelerated", "Classifier", "accelerate", "keep_freed_memory"]
