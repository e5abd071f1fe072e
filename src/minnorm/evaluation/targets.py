"""Which classes a targeted evaluation aims at."""

import re
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

Targets: TypeAlias = str | None
"""`None` (untargeted), `all`, `least-likely`, or `random:K`."""


def check_targets(targets: Targets) -> None:
    """Checks the word for the targets.

    Raises:
        ValueError: If it is none of those that there are.
    """
    if targets is None or targets in ("all", "least-likely"):
        return
    if not isinstance(targets, str) or not re.fullmatch(r"random:[1-9]\d*", targets):
        raise ValueError(
            f"targets={targets!r}: expected 'all' (every other class), 'least-likely' (the class "
            "with the lowest logit) or 'random:K' (K other classes of each sample)."
        )


def choose_targets(
    targets: Targets,
    logits: Float[Tensor, "b c"],
    labels: Int64[Tensor, "b"],
    indices: list[int],
    seed: int,
) -> list[Int64[Tensor, "b"] | None]:
    """Gives the classes to aim at, a tensor for each run of the attack; `[None]` when untargeted.

    A sample's own label is never among them. Random targets follow from the seed and the sample's
    index alone, so that they do not depend on batches.

    Args:
        targets: The word, see `Targets`.
        logits: The model's answer to the inputs.
        labels: The true classes.
        indices: Positions of the samples in the whole data set.
        seed: The seed of the run.

    Raises:
        ValueError: If more classes are asked for than there are others.
    """
    classes = logits.shape[1]
    if targets is None:
        return [None]
    if targets == "least-likely":
        return [logits.scatter(1, labels.unsqueeze(1), torch.inf).argmin(1)]
    # Other classes are numbered 0..c-2; those from the label on are one higher.
    if targets == "all":
        chosen = torch.arange(classes - 1, device=labels.device).expand(len(labels), -1)
    else:
        count = int(targets.partition(":")[2])
        if count > classes - 1:
            raise ValueError(
                f"targets={targets!r}: the model has {classes} classes, so {classes - 1} others."
            )
        drawn = [
            np.random.default_rng([seed, index]).permutation(classes - 1)[:count]
            for index in indices
        ]
        chosen = torch.from_numpy(np.stack(drawn)).to(labels.device)
    shifted = chosen + (chosen >= labels.unsqueeze(1))
    return list(shifted.unbind(1))
