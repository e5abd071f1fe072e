"""The draws of a random model, as the manifest of a run holds them."""

from minnorm.attacks import Model
from minnorm.attacks.engine.draw_shares import number_of_draws
from minnorm.evaluation.store.configuration import DrawsEntry
from minnorm.models.averaged import averaged_part


def draws_of(model: Model) -> DrawsEntry | None:
    """Return the draws of a random model; `None` for any other model."""
    part = averaged_part(model)
    if part is None:
        return None
    return DrawsEntry(
        draws=part.draws,
        seed=part.seed,
        threshold=part.threshold,
        judged=number_of_draws(part),
    )
