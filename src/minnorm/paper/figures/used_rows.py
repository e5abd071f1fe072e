"""The rows of tables that a figure uses, so that it runs nothing else."""

from collections.abc import Collection, Mapping, Sequence

from minnorm.errors import InputError
from minnorm.paper.experiment import Experiment
from minnorm.paper.measuring import MeasuredSetting, unfinished_note
from minnorm.paper.rows import have_same_images
from minnorm.report.texts import listed


def only_rows(experiment: Experiment, rows: Mapping[str, Collection[str]]) -> Experiment:
    """Return an experiment with some of its settings and rows.

    Rows that share a run directory stay together: a run never loses an attack.

    Args:
        experiment: The experiment.
        rows: The names of the rows by the name of the setting.
    """
    settings = []
    for setting in experiment.settings:
        needed = rows.get(setting.name, ())
        together = any(row.name in needed for row in setting.attacks if not row.apart)
        kept = [row for row in setting.attacks if (row.name in needed if row.apart else together)]
        if kept:
            settings.append(setting.model_copy(update={"attacks": tuple(kept)}))
    return experiment.model_copy(update={"settings": tuple(settings)})


def check_same_images(experiment: Experiment, names: Collection[str]) -> None:
    """Check that some settings of an experiment have the same images, so that they can be compared.

    Raises:
        InputError: If they have not.
    """
    chosen = [one for one in experiment.settings if one.name in names]
    if not have_same_images(chosen):
        raise InputError(
            f"{experiment.name} compares {listed([one.name for one in chosen])} image by image: "
            "name the same data set for each of them with --data."
        )


def notes_of(
    settings: Sequence[MeasuredSetting], rows: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    """Return what differs from the paper, and what did not run and why, each sentence once.

    Args:
        settings: What was measured.
        rows: The names of the rows that the figure uses, by the name of the setting.
    """
    found: dict[str, list[str]] = {}
    for one in settings:
        used = rows[one.setting.name]
        for text in (*one.setting.differences, *one.setting.row_notes(used)):
            found.setdefault(text, []).append(one.setting.name)
        texts = {row: f"{row} is not run. {reason}" for row, reason in one.missing.items()}
        texts |= {row: unfinished_note(row, part) for row, part in one.unfinished().items()}
        for row_name, text in texts.items():
            if row_name in used:
                found.setdefault(text, []).append(one.setting.name)
    everywhere = len(settings)
    return tuple(
        text if len(names) == everywhere else f"{', '.join(names)}: {text}"
        for text, names in found.items()
    )
