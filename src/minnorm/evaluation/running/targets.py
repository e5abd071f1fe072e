"""The classes that targeted attacks aim at."""

import re
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.errors import InputError
from minnorm.logits import masked_classes

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


def check_enough_classes(targets: Targets, classes: int, masked: int = 0) -> None:
    """Check that a model has enough classes for the targets.

    Args:
        targets: The choice of targets.
        classes: The number of classes.
        masked: How many of them are masked for every sample that was probed, see
            `minnorm.logits.masked_classes`.

    Raises:
        InputError: If there are fewer other classes than targets, or masked ones among them.
    """
    others = classes - masked - 1
    wanted = 0 if targets is None else count_targets(targets, classes)
    if wanted <= others:
        return
    found = f"the model has {classes} classes"
    if masked:
        found += f", {masked} of them masked (a logit of -inf, or far below the others)"
    expected = f"; expected at most random:{others}" if others > 0 else ": no other is possible"
    raise InputError(f"targets={targets!r}: {found}{expected}.")


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

    A sample's own label is never among them, nor a class whose logit is -inf. Other masked classes
    (see `minnorm.logits.masked_classes`) are never the least likely, and the last random ones.
    Random targets depend on the seed and the sample's index only, so not on the batches.

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
    own = labels.unsqueeze(1)
    excluded = (logits == -torch.inf).scatter(1, own, value=True)
    _check_possible(targets, excluded, indices)
    if targets == "least-likely":
        possible = ~(masked_classes(logits) | excluded)
        possible = torch.where(possible.any(1, keepdim=True), possible, ~excluded)
        return [torch.where(possible, logits, torch.inf).argmin(1)]
    # Other classes are numbered 0..c-2; those from the label on are one higher.
    if targets == "all":
        chosen = torch.arange(classes - 1, device=labels.device).expand(len(labels), -1)
        return list((chosen + (chosen >= own)).unbind(1))
    drawn = [np.random.default_rng([seed, index]).permutation(classes - 1) for index in indices]
    chosen = torch.from_numpy(np.stack(drawn)).to(labels.device)
    shifted = chosen + (chosen >= own)
    last = masked_classes(logits).to(torch.int8) + excluded.to(torch.int8)
    order = last.gather(1, shifted).sort(dim=1, stable=True).indices
    return list(shifted.gather(1, order)[:, : _random_count(targets)].unbind(1))


def _check_possible(targets: str, excluded: Bool[Tensor, "b c"], indices: list[int]) -> None:
    """Check that each sample has enough classes that are not excluded."""
    possible = (~excluded).sum(1).tolist()
    for index, others in zip(indices, possible, strict=True):
        if others < count_targets(targets, excluded.shape[1]):
            raise InputError(
                f"targets={targets!r}: sample {index} has only {others} other classes whose logit "
                f"is not -inf: expected at most random:{others}, or an untargeted attack."
            )
