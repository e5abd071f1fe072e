"""The classes that targeted attacks aim at."""

import re
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm.errors import InputError

Targets: TypeAlias = str | None
"""`None` (untargeted), `all`, `least-likely`, or `random:K`."""


def check_targets(targets: Targets) -> None:
    """Check the choice of targets.

    Raises:
        InputError: If it is none of those that `Targets` lists.
    """
    if targets is None or targets in ("all", "least-likely"):
        return
    if not isinstance(targets, str) or not re.fullmatch(r"random:[1-9]\d*", targets):
        raise InputError(
            f"targets={targets!r}: expected 'all' (every other class), 'least-likely' (the class "
            "with the lowest logit) or 'random:K' (K other classes of each sample)."
        )


def check_enough_classes(targets: Targets, classes: int) -> None:
    """Check that a model has enough classes for the targets.

    Raises:
        InputError: If there are fewer other classes than targets.
    """
    if targets is not None and _random_count(targets) > classes - 1:
        raise InputError(
            f"targets={targets!r}: the model has {classes} classes; expected at most "
            f"random:{classes - 1}."
        )


def count_targets(targets: Targets, classes: int) -> int:
    """Return how many times an attack runs on each sample."""
    if targets == "all":
        return classes - 1
    return 1 if targets is None else max(_random_count(targets), 1)


def _random_count(targets: str) -> int:
    """Return K of `random:K`, 0 for other targets."""
    word, _, count = targets.partition(":")
    return int(count) if word == "random" else 0


def choose_targets(
    targets: Targets,
    logits: Float[Tensor, "b c"],
    labels: Int64[Tensor, "b"],
    indices: list[int],
    seed: int,
) -> list[Int64[Tensor, "b"] | None]:
    """Return the classes to aim at, a tensor for each run of the attack; `[None]` if untargeted.

    A sample's own label is never among them. Random targets depend on the seed and the sample's
    index only, so not on the batches.

    Args:
        targets: The choice of targets, see `Targets`.
        logits: The model's logits of the inputs.
        labels: The true classes.
        indices: Positions of the samples in the whole data set.
        seed: The seed of the run.

    Raises:
        InputError: If there are fewer other classes than targets.
    """
    classes = logits.shape[1]
    check_enough_classes(targets, classes)
    if targets is None:
        return [None]
    if targets == "least-likely":
        return [logits.scatter(1, labels.unsqueeze(1), torch.inf).argmin(1)]
    # Other classes are numbered 0..c-2; those from the label on are one higher.
    if targets == "all":
        chosen = torch.arange(classes - 1, device=labels.device).expand(len(labels), -1)
    else:
        count = _random_count(targets)
        drawn = [
            np.random.default_rng([seed, index]).permutation(classes - 1)[:count]
            for index in indices
        ]
        chosen = torch.from_numpy(np.stack(drawn)).to(labels.device)
    shifted = chosen + (chosen >= labels.unsqueeze(1))
    return list(shifted.unbind(1))
