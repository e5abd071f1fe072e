"""Ensemble adversarial training: single-step samples from other models too.

Tramer, Kurakin, Papernot, Goodfellow, Boneh, McDaniel: "Ensemble Adversarial Training: Attacks and
Defenses", ICLR 2018, https://arxiv.org/abs/1705.07204.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from minnorm import geometry
from minnorm.models import load_model
from minnorm.models.weights import NotTrustedError
from minnorm.training.objectives._fgsm import check_step, one_step
from minnorm.training.objectives.contract import Adversarial, Objective, mixed


def ensemble(
    *,
    models: Sequence[str],
    epsilon: float,
    norm: geometry.Norm = "linf",
    weight: float = 0.5,
    label_smoothing: float = 0.0,
) -> Objective:
    """Gives the loss on the inputs and on FGSM samples, of fixed models or of the one in training.

    For each batch one of them is drawn, with equal probabilities.

    Args:
        models: The specs of the fixed models, one or more.
        epsilon: The length of the step.
        norm: `l2` or `linf`.
        weight: The share of the loss on the inputs, `alpha` of eq. 6, from 0 to below 1.
        label_smoothing: See `clean`.

    Raises:
        ValueError: If an argument is not as described, or a model cannot be loaded.
        FileNotFoundError: If a file of a model is not there.
    """
    check_step(epsilon, norm, weight)
    if (
        not isinstance(models, list | tuple)
        or not models
        or not all(isinstance(one, str) for one in models)
    ):
        raise ValueError(f"models={models!r}: expected a list of at least one model spec.")
    fixed = [_load(spec).requires_grad_(False) for spec in models]

    def perturb(model: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        device = generator.device
        drawn = int(torch.randint(len(fixed) + 1, (), generator=generator, device=device))
        source = fixed[drawn].to(inputs.device) if drawn < len(fixed) else model
        return one_step(source, inputs, labels, generator, epsilon=epsilon, norm=norm)

    return Adversarial(perturb, mixed(weight, label_smoothing), others=fixed)


def _load(spec: str) -> nn.Module:
    try:
        return load_model(spec)
    except NotTrustedError as error:
        raise ValueError(
            f"models: {spec!r} would run code of its own, which those of an ensemble must not: "
            "convert it to safetensors."
        ) from error
