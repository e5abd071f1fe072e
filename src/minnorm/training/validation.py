"""The accuracy of a network during training: clean, and under a short attack."""

import torch
from torch import Generator, Tensor, nn

from minnorm.attacks import load_attack
from minnorm.attacks.composition import norm_of
from minnorm.attacks.engine.autograd import own_autograd_mode
from minnorm.data import Data
from minnorm.geometry import distances
from minnorm.logits import is_adversarial, predictions
from minnorm.runtime import devices, ranks
from minnorm.training.evaluation_mode import in_evaluation_mode, under_attack
from minnorm.training.recipe import RobustValidation


@torch.no_grad()
@devices.full_float32()
def accuracy(model: nn.Module, data: Data, batch_size: int = 1000) -> float:
    """Return the share of correct predictions in evaluation mode; the mode is restored afterwards.

    Args:
        model: Inputs `[b *d]` to logits `[b c]`; it runs on the device of its parameters.
        data: The samples.
        batch_size: The number of samples in a forward pass.

    Returns:
        The share, 0 to 1.
    """
    device = _device_of(model)
    correct = 0
    with in_evaluation_mode(model):
        for start in range(0, len(data), batch_size):
            inputs, labels = data.batch(range(start, min(start + batch_size, len(data))))
            logits: Tensor = model(inputs.to(device))
            correct += int((predictions(logits).cpu() == labels).sum())
    return correct / len(data)


@devices.full_float32()
def robust_accuracy(
    model: nn.Module, data: Data, validation: RobustValidation, batch_size: int = 100
) -> float:
    """Return the share of samples without an adversarial within a radius; ranks share the work.

    The adversarials of the attack are predicted again. A sample that the model misclassifies counts
    as not robust.

    Args:
        model: Inputs `[b *d]` in 0..1 to logits `[b c]`; it is attacked in evaluation mode on the
            device of its parameters.
        data: The samples; the first ones are attacked.
        validation: The attack, the radius, and the number of samples.
        batch_size: The number of samples that are attacked at a time.

    Returns:
        The share, 0 to 1: an upper bound of the robust accuracy, as with any attack.
    """
    attack = load_attack(validation.attack)
    norm = norm_of([attack])
    device = _device_of(model)
    samples = min(validation.images, len(data))
    starts = range(0, samples, batch_size)[ranks.rank() :: ranks.world_size()]
    robust = 0
    with own_autograd_mode(), under_attack(model) as target:
        for start in starts:
            inputs, labels = data.batch(range(start, min(start + batch_size, samples)))
            inputs, labels = inputs.to(device), labels.to(device)
            generator = Generator(device).manual_seed(0)
            points = attack(target, inputs, labels, generator=generator).adversarials
            right = predictions(target(inputs)) == labels
            wrong = is_adversarial(target(points), labels, targeted=False)
            within = distances(points, inputs, norm) <= validation.epsilon
            robust += int((right & ~(wrong & within)).sum())
    total: int = sum(ranks.gather(robust))
    return total / samples


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters(), torch.empty(0)).device
