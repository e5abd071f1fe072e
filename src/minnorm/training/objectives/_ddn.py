"""The paper's defense: train on the closest adversarials that DDN finds (section 5, eq. 9)."""

from minnorm import specs
from minnorm.training.objectives._closest import closest
from minnorm.training.objectives.contract import Objective


def ddn(
    *,
    max_norm: float,
    steps: int = 100,
    initial_norm: float = 1.0,
    gamma: float = 0.05,
    levels: int | None = None,
    warm_start: bool = False,
    label_smoothing: float = 0.0,
) -> Objective:
    """Gives the loss at the adversarials that DDN finds, scaled down to a largest norm.

    Args:
        max_norm: The largest L2 norm of a perturbation, see `closest`.
        steps: Gradients for each update.
        initial_norm: See `minnorm.attacks.ddn`; the next two too.
        gamma: The factor by which the norm changes.
        levels: Rounding at each step.
        warm_start: See `closest`; the first radius is then that of the last epoch.
        label_smoothing: See `clean`.

    Raises:
        ValueError: If an argument is not as described.
    """
    settings = {"steps": steps, "initial_norm": initial_norm, "gamma": gamma, "levels": levels}
    attack = specs.describe("ddn", settings)
    return closest(
        max_norm=max_norm, attack=attack, warm_start=warm_start, label_smoothing=label_smoothing
    )
