"""The optimizer and the learning rate schedule of a recipe, in PyTorch."""

import math
from bisect import bisect_right

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from minnorm.training.recipe import Recipe, Schedule


def make_optimizer(recipe: Recipe, network: nn.Module) -> Optimizer:
    """Return the optimizer of a network's parameters."""
    chosen = recipe.optimizer
    parameters = network.parameters()
    if chosen.name == "adamw":
        return torch.optim.AdamW(
            parameters, lr=chosen.learning_rate, weight_decay=chosen.weight_decay
        )
    return torch.optim.SGD(
        parameters,
        lr=chosen.learning_rate,
        momentum=chosen.momentum,
        nesterov=chosen.nesterov,
        weight_decay=chosen.weight_decay,
    )


def make_schedule(recipe: Recipe, optimizer: Optimizer, updates: int) -> LambdaLR:
    """Return the schedule, to be stepped after each update.

    Args:
        recipe: The recipe.
        optimizer: Its optimizer.
        updates: The number of updates in an epoch.
    """
    return LambdaLR(
        optimizer,
        lambda update: share_of_rate(recipe.schedule, update / updates, recipe.epochs),
    )


def share_of_rate(schedule: Schedule, epoch: float, epochs: int) -> float:
    """Return the factor of the learning rate at a point in time.

    Args:
        schedule: The schedule.
        epoch: The time in epochs; 1.5 is the middle of the second one.
        epochs: The number of epochs in all.
    """
    if epoch < schedule.warmup:
        return max(epoch / schedule.warmup, 1e-3)  # a rate of 0 would waste the first update
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "milestones":
        return schedule.factor ** bisect_right(schedule.milestones, math.floor(epoch + 1e-9))
    done = min((epoch - schedule.warmup) / max(epochs - schedule.warmup, 1e-9), 1.0)
    return 0.5 * (1 + math.cos(math.pi * done)) if schedule.name == "cosine" else 1 - done
