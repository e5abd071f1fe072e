"""The accuracy of a network during training: clean, and under a short attack."""

from collections import Counter

import torch
from torch import Generator, Tensor, nn

from minnorm.attacks import load_attack
from minnorm.attacks.composition import norm_of
from minnorm.attacks.engine.autograd import own_autograd_mode
from minnorm.boxes import masked
from minnorm.data import Data
from minnorm.data.dataset import drawn
from minnorm.geometry import distances
from minnorm.logits import is_adversarial, predictions
from minnorm.radii import least_radii, measured_gaps
from minnorm.runtime import devices, ranks
from minnorm.training.evaluation_mode import in_evaluation_mode, under_attack
from minnorm.training.recipe import RobustValidation


def accuracy(model: nn.Module, data: Data, batch_size: int = 1000) -> float:
    """Return the share of correct predictions in evaluation mode; the mode is restored afterwards.

    Args:
        model: Inputs `[b *d]` to logits `[b c]`; it runs on the device of its parameters.
        data: The samples.
        batch_size: The number of samples in a forward pass.

    Returns:
        The share, 0 to 1.
    """
    return accuracies(model, data, batch_size)[0]


@torch.no_grad()
@devices.full_float32()
def accuracies(model: nn.Module, data: Data, batch_size: int) -> tuple[float, float]:
    """Return `accuracy`, and that of predicting the most frequent class for each sample."""
    device = _device_of(model)
    correct = 0
    labels_seen: Counter[int] = Counter()
    with in_evaluation_mode(model):
        for start in range(0, len(data), batch_size):
            inputs, labels = data.batch(range(start, min(start + batch_size, len(data))))
            logits: Tensor = model(inputs.to(device))
            correct += int((predictions(logits).cpu() == labels).sum())
            labels_seen.update(labels.tolist())
    return correct / len(data), max(labels_seen.values()) / len(data)


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
        data: The samples; their mask says which features the attack may change.
        validation: The attack, the radius, and the number of samples, which are drawn with a fixed
            seed.
        batch_size: The number of samples that are attacked at a time.

    Returns:
        The share, 0 to 1: an upper bound of the robust accuracy, as with any attack.
    """
    attack = load_attack(validation.attack)
    norm = norm_of([attack])
    device = _device_of(model)
    positions = drawn(len(data), validation.images)
    starts = range(0, len(positions), batch_size)[ranks.rank() :: ranks.world_size()]
    robust = 0
    with own_autograd_mode(), under_attack(model) as target:
        for start in starts:
            inputs, labels = data.batch(positions[start : start + batch_size])
            inputs, labels = inputs.to(device), labels.to(device)
            generator = Generator(device).manual_seed(0)
            box = masked((0.0, 1.0), inputs, data.mask)
            points = attack(target, inputs, labels, bounds=box, generator=generator).adversarials
            right = predictions(target(inputs)) == labels
            wrong = is_adversarial(target(points), labels, targeted=False)
            gaps = measured_gaps(inputs, points)
            radii = least_radii(distances(points, inputs, norm), gaps, norm)
            within = radii <= validation.epsilon
            robust += int((right & ~(wrong & within)).sum())
    total: int = sum(ranks.gather(robust))
    return total / len(positions)


def _device_of(model: nn.Module) -> torch.device:
    return next(model.parameters(), torch.empty(0)).device
