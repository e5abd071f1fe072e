"""The paper's defense: train on the closest adversarials that DDN finds (section 5, eq. 9)."""

from minnorm import specs
from minnorm.training.objectives.closest import closest
from minnorm.training.objectives.contract import Adversarial


def ddn(
    *,
    max_norm: float,
    steps: int = 100,
    initial_norm: float = 1.0,
    gamma: float = 0.05,
    levels: int | None = None,
    warm_start: bool = False,
    label_smoothing: float = 0.0,
) -> Adversarial:
    """Return the objective that trains on the adversarials of DDN, limited to a largest norm.

    Args:
        max_norm: The largest L2 norm of a perturbation, see `closest`.
        steps: Gradients for each update.
        initial_norm: The first radius of the attack, see `minnorm.attacks.ddn`.
        gamma: The factor by which the radius changes.
        levels: The number of levels that the attack rounds to; `None` for no rounding.
        warm_start: See `closest`; the first radius is then that of the previous epoch.
        label_smoothing: See `clean`.

    Raises:
        InputError: If an argument is not as described.
    """
    settings = {"steps": steps, "initial_norm": initial_norm, "gamma": gamma, "levels": levels}
    attack = specs.format_spec("ddn", settings)
    return closest(
        max_norm=max_norm, attack=attack, warm_start=warm_start, label_smoothing=label_smoothing
    )
