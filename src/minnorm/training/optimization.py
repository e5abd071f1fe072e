"""What a recipe's optimiser and schedule are in PyTorch."""

import math
from bisect import bisect_right

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from minnorm.training.recipe import Recipe, Schedule


def make_optimizer(recipe: Recipe, network: nn.Module) -> Optimizer:
    """Makes the optimiser of a network's parameters."""
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
    """Makes the schedule, that is to be told of each update.

    Args:
        recipe: The recipe.
        optimizer: Its optimiser.
        updates: How many there are in an epoch.
    """
    return LambdaLR(
        optimizer,
        lambda update: share_of_rate(recipe.schedule, update / updates, recipe.epochs),
    )


def share_of_rate(schedule: Schedule, epoch: float, epochs: int) -> float:
    """Gives by what the learning rate is multiplied at a time.

    Args:
        schedule: The schedule.
        epoch: The time, in epochs; 1.5 is half-way through the second.
        epochs: How many there are in all.
    """
    if epoch < schedule.warmup:
        # The first update is not lost: its rate is above 0.
        return max(epoch / schedule.warmup, 1e-3)
    if schedule.name == "constant":
        return 1.0
    if schedule.name == "milestones":
        return schedule.factor ** bisect_right(schedule.milestones, math.floor(epoch + 1e-9))
    gone = min((epoch - schedule.warmup) / max(epochs - schedule.warmup, 1e-9), 1.0)
    return 0.5 * (1 + math.cos(math.pi * gone)) if schedule.name == "cosine" else 1 - gone
