"""Experiments of kind `black-box`: attacks on networks of which nothing but the class is known.

The setting of the NIPS 2018 Adversarial Vision Challenge (Brendel et al.,
https://arxiv.org/abs/1808.01976). An attack scores the median distance, where a failure counts as
the distance to the gray image. A network scores the median over the closest adversarial of each
image that any attack found.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from minnorm.access import access_of, allows
from minnorm.errors import MissingFileError, MissingLibraryError
from minnorm.evaluation import (
    Estimate,
    clean_accuracy,
    closest_records,
    median_distance,
)
from minnorm.evaluation.records import join_records
from minnorm.models import load_model
from minnorm.models.names import model_name
from minnorm.paper.experiment import Experiment, options_of
from minnorm.paper.measuring import MeasuredSetting, Options, measure
from minnorm.paper.outcome import Outcome, Table
from minnorm.paper.rows import common_images, of_images
from minnorm.paper.tables import interval_text, outcome_of, why_not_run

_NOTES = (
    "As in the challenge, an attack gets the predicted classes of the network under attack and "
    "nothing else, a limited number of queries for each image, and scores the median distance. An "
    "image that needs no attack counts as 0, a failure as the distance to the gray image. Ours "
    "with a 95 % interval over images.",
    "The challenge was on Tiny ImageNet, and attacks met networks of other participants there. Its "
    "figures cannot be compared with these.",
)


class _Defenses(BaseModel):
    """What an experiment of this kind has among its options.

    Attributes:
        defenses: The settings whose networks are compared.
        with_gradients: The name of the row in them that uses gradients; it is shown beside the
            score, and is no part of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    defenses: tuple[str, ...] = ()
    with_gradients: str = ""


class _Score(NamedTuple):
    """The scores of a network."""

    setting: str
    model: str
    images: int
    clean: Estimate
    black_box: Estimate
    white_box: Estimate | None


def black_box(experiment: Experiment, options: Options) -> Outcome:
    """Run the attacks of an experiment, and compare the networks by their best attacks."""
    defenses = options_of(experiment, _Defenses)
    experiment, left_out = _without_gradients(experiment, defenses.with_gradients, options)
    settings = measure(experiment, options)
    found = [
        _score(one, defenses.with_gradients)
        for one in settings
        if one.setting.name in defenses.defenses and one.runs and not one.missing
    ]
    scores = [score for score in found if score is not None]
    outcome = outcome_of(experiment, settings)
    return replace(
        outcome,
        tables=(*outcome.tables, *([_table(scores, defenses.with_gradients)] if scores else [])),
        notes=(*_NOTES, *left_out, *why_not_run(settings)),
        numbers={**outcome.numbers, "defenses": [_as_json(score) for score in scores]},
    )


def _without_gradients(
    experiment: Experiment, row: str, options: Options
) -> tuple[Experiment, tuple[str, ...]]:
    """Return an experiment without the row that needs gradients where a network has none."""
    settings, notes = [], []
    for setting in experiment.settings:
        kept = tuple(one for one in setting.attacks if one.name != row)
        if len(kept) < len(setting.attacks) and not _has_gradients(setting.model, options):
            notes.append(f"{setting.name}: {row} is left out, since the network has none.")
            settings.append(setting.model_copy(update={"attacks": kept}))
        else:
            settings.append(setting)
    return experiment.model_copy(update={"settings": tuple(settings)}), tuple(notes)


def _has_gradients(model: str, options: Options) -> bool:
    """Return whether a network has gradients; one that is missing is said to be so later."""
    try:
        return allows(access_of(load_model(model, trust=options.trust)), "gradients")
    except (MissingFileError, MissingLibraryError):
        return True


def _score(measured: MeasuredSetting, with_gradients: str) -> _Score | None:
    """Return the score of a network over the images that all rows have, `None` without any."""
    rows = [row.name for row in measured.setting.attacks]
    images = common_images(map(measured.of, rows))
    if len(images) == 0:
        return None
    parts = {row: of_images(measured.of(row), images) for row in rows}
    white = parts.pop(with_gradients, None)
    over = measured.setting.over
    closest = closest_records(join_records(list(parts.values())))
    return _Score(
        setting=measured.setting.name,
        model=model_name(measured.setting.model),
        images=len(images),
        clean=clean_accuracy(closest),
        black_box=median_distance(closest, failures="gray", over=over),
        white_box=None if white is None else median_distance(white, failures="gray", over=over),
    )


def _table(scores: Sequence[_Score], with_gradients: str) -> Table:
    heading = [f"median L2, {with_gradients}"] if with_gradients else []
    return Table(
        title="Robust models: the median over the best attack for each image",
        columns=(
            "setting",
            "network",
            "images",
            "accuracy %",
            "median L2, best black-box attack",
            *heading,
        ),
        rows=tuple(
            (
                score.setting,
                score.model,
                f"{score.images:,}",
                interval_text(score.clean, 100, 1),
                interval_text(score.black_box, 1, 4),
                *([_shown(score.white_box)] if with_gradients else []),
            )
            for score in scores
        ),
        texts=2,
        notes=(
            "The score of the challenge for models: of each image the closest adversarial of all "
            "attacks without gradients.",
        ),
    )


def _shown(estimate: Estimate | None) -> str:
    return "" if estimate is None else interval_text(estimate, 1, 4)


def _as_json(score: _Score) -> dict[str, Any]:
    return {
        "setting": score.setting,
        "model": score.model,
        "images": score.images,
        "clean_accuracy": score.clean._asdict(),
        "black_box": score.black_box._asdict(),
        "with_gradients": None if score.white_box is None else score.white_box._asdict(),
    }
