"""How good a network is in training: on the images as they are, and under a short attack."""

import torch
from torch import Generator, Tensor, nn

from minnorm import runtime
from minnorm.attacks import load_attack
from minnorm.attacks.combinators import norm_of
from minnorm.attacks.gradients import own_autograd_mode
from minnorm.data import Data
from minnorm.geometry import distances
from minnorm.losses import is_adversarial, predictions
from minnorm.training.objectives.contract import in_evaluation_mode, under_attack
from minnorm.training.recipe import RobustValidation


@torch.no_grad()
@runtime.full_float32()
def accuracy(model: nn.Module, data: Data, batch_size: int = 1000) -> float:
    """Gives the share of correct predictions, in evaluation mode; the mode is restored after.

    Args:
        model: Inputs `[b *d]` to logits `[b c]`; asked on the device of its parameters.
        data: The samples.
        batch_size: How many are asked at a time.

    Returns:
        The share, 0 to 1.
    """
    parameter = next(model.parameters(), torch.empty(0))
    correct = 0
    with in_evaluation_mode(model):
        for start in range(0, len(data), batch_size):
            inputs, labels = data.batch(range(start, min(start + batch_size, len(data))))
            logits: Tensor = model(inputs.to(parameter.device))
            correct += int((predictions(logits).cpu() == labels).sum())
    return correct / len(data)


@runtime.full_float32()
def robust_accuracy(
    model: nn.Module, data: Data, validation: RobustValidation, batch_size: int = 100
) -> float:
    """Gives the share of samples without an adversarial within the radius; the ranks share it.

    What the attack finds is asked of the model again. A sample on which the model errs by itself is
    its own adversarial.

    Args:
        model: Inputs `[b *d]` in 0..1 to logits `[b c]`; attacked in evaluation mode on the device
            of its parameters.
        data: The samples, of which the first ones are attacked.
        validation: The attack, the radius, and the number of samples.
        batch_size: How many are attacked at a time.

    Returns:
        The share, 0 to 1: an upper bound, as with any attack.
    """
    attack = load_attack(validation.attack)
    norm = norm_of([attack])
    device = next(model.parameters(), torch.empty(0)).device
    samples = min(validation.images, len(data))
    starts = range(0, samples, batch_size)[runtime.rank() :: runtime.world_size()]
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
    total: int = sum(runtime.gather(robust))
    return total / samples
