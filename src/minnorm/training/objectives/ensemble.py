"""Ensemble adversarial training: single-step samples from other models too.

Tramer, Kurakin, Papernot, Goodfellow, Boneh, McDaniel: "Ensemble Adversarial Training: Attacks and
Defenses", ICLR 2018, https://arxiv.org/abs/1705.07204.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from minnorm import geometry
from minnorm.errors import InputError, NotTrustedError
from minnorm.models import load_model
from minnorm.training.objectives.contract import Adversarial
from minnorm.training.objectives.fgsm import check_step, one_step
from minnorm.training.objectives.losses import mixed_loss


def ensemble(
    *,
    models: Sequence[str],
    epsilon: float,
    norm: geometry.Norm = "linf",
    weight: float = 0.5,
    label_smoothing: float = 0.0,
) -> Adversarial:
    """Return the objective that trains on the inputs, and on FGSM samples of several models.

    For each batch, the source of the samples is drawn with equal probabilities from the fixed
    models and the model in training.

    Args:
        models: The specs of the fixed models, one or more.
        epsilon: The length of the step.
        norm: `l2` or `linf`.
        weight: The weight of the loss on the inputs, `alpha` of eq. 6, from 0 to below 1.
        label_smoothing: See `clean`.

    Raises:
        InputError: If an argument is not as described, or a model cannot be loaded.
        MissingFileError: If the file of a model does not exist.
    """
    check_step(epsilon, norm, weight)
    if (
        not isinstance(models, list | tuple)
        or not models
        or not all(isinstance(spec, str) for spec in models)
    ):
        raise InputError(f"models={models!r}: expected a list of at least one model spec.")
    fixed = tuple(_load(spec).requires_grad_(False) for spec in models)

    def perturb(
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        _starts: Tensor | None,
        generator: Generator,
        *,
        mask: Tensor | None = None,
    ) -> Tensor:
        device = generator.device
        drawn = int(torch.randint(len(fixed) + 1, (), generator=generator, device=device))
        source = fixed[drawn].to(inputs.device) if drawn < len(fixed) else model
        return one_step(source, inputs, labels, generator, epsilon=epsilon, norm=norm, mask=mask)

    return Adversarial(perturb, mixed_loss(weight, label_smoothing), others=fixed)


def _load(spec: str) -> nn.Module:
    try:
        return load_model(spec)
    except NotTrustedError as error:
        raise InputError(
            f"models: loading {spec!r} would run the code that it holds, which an ensemble does "
            "not allow: convert it to safetensors."
        ) from error
