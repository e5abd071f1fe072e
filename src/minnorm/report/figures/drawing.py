"""What all charts on Matplotlib axes share: which runs are drawn, new axes, names and styles."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from minnorm.errors import InputError, MissingLibraryError
from minnorm.evaluation import Evaluation, Records, load_run, of_attack
from minnorm.evaluation.records import attacks_in, norms_in
from minnorm.geometry import Norm, check_norm
from minnorm.report.findings.unfinished import of_common_samples
from minnorm.report.parts import attack_parts
from minnorm.report.runs import LabeledRun, label_runs
from minnorm.report.texts import attack_text
from minnorm.runtime.terminal import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

Drawable: TypeAlias = LabeledRun | Evaluation | Records | str | Path
"""A run, the records of one, or a run directory."""

Drawables: TypeAlias = Drawable | Sequence[Drawable] | Mapping[str, Drawable]
"""One run or several; the keys of a mapping are their labels."""

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#4d4d4d", "#8a6200")
"""Colors that people with any kind of color vision distinguish (after Okabe and Ito)."""

LINES: tuple[tuple[float, ...], ...] = (
    (),
    (5, 1.5),
    (1.2, 1.2),
    (6, 1.5, 1.2, 1.5),
    (9, 2),
    (3, 1, 1.2, 1, 1.2, 1),
)
"""Dash patterns in units of the width of a line; the first one is a solid line."""

SIZE = (5.0, 3.4)
"""The usual size of a figure in inches."""

_LONGEST_NAME = 44
"""Characters of a name in a chart."""


def labeled(runs: Drawables) -> list[LabeledRun]:
    """Return the runs to draw, with distinct labels.

    Of an unfinished run these are the samples that all of its attacks have been run on.

    Raises:
        InputError: If there is none, one is nothing that can be drawn, or one has no records.
    """
    if isinstance(runs, Mapping):
        found = [replace(one, label=label) for label, each in runs.items() for one in labeled(each)]
    elif isinstance(runs, Sequence) and not isinstance(runs, str):
        found = _labeled(runs)
    else:
        found = _labeled([runs])
    # A warning has said already that it is unfinished, when it was loaded.
    found, _ = of_common_samples(found)
    if not found:
        raise InputError("there is nothing to draw: name at least one run.")
    for run in found:
        if len(run.run.records) == 0:
            raise InputError(f"{run.label} has no records, so there is nothing to draw.")
    return found


def _labeled(runs: Sequence[Drawable]) -> list[LabeledRun]:
    """Return runs with labels; those that have one keep it."""
    found = label_runs([_evaluation(run) for run in runs])
    return [
        given if isinstance(given, LabeledRun) else run
        for run, given in zip(found, runs, strict=True)
    ]


def _evaluation(run: object) -> Evaluation:
    """Return a run for anything that can be drawn."""
    if isinstance(run, LabeledRun):
        return run.run
    if isinstance(run, Evaluation):
        return run
    if isinstance(run, str | Path):
        return load_run(run)
    if isinstance(run, pa.Table):
        configuration = {"model": "records", "data": "", "attacks": [], "bounds": [0.0, 1.0]}
        manifest = {"configuration": configuration, "classes": [], "sessions": []}
        return Evaluation(run, manifest, None)
    raise InputError(
        f"cannot draw a {type(run).__name__}: expected a run, its records or a run directory."
    )


def drawn_parts(
    runs: Sequence[LabeledRun], norm: Norm | None, attacks: Sequence[str]
) -> dict[tuple[str, str], Records]:
    """Return the records to draw, by the label of the run and the name of the attack.

    These are all attacks of a single run, and only the closest of all attacks of several runs.

    Args:
        runs: The runs.
        norm: The norm of the distances; by default each attack's own.
        attacks: The attacks to draw, by their names or specs; empty for the default.

    Raises:
        InputError: If a run lacks one of the attacks, or the norms of the parts differ.
    """
    found = {}
    for run in runs:
        parts = attack_parts(run, norm)
        if attacks:
            parts = dict(_part(run, parts, attack) for attack in attacks)
        elif len(runs) > 1:
            parts = dict(list(parts.items())[-1:])
        found.update({(run.label, name): part for name, part in parts.items()})
    norms = {one for part in found.values() for one in norms_in(part)}
    if norm is None and len(norms) > 1:
        raise InputError(
            f"the attacks minimize {' and '.join(sorted(norms))}, and one chart has one norm: "
            f"choose the norm, for example norm={min(norms)!r} (--norm {min(norms)} on the command "
            "line), or attacks of one norm."
        )
    return found


def _part(run: LabeledRun, parts: Mapping[str, Records], attack: str) -> tuple[str, Records]:
    """Return the name and the records of an attack: one of the parts, or by any form of its spec.

    Raises:
        InputError: If the run lacks it.
    """
    if attack in parts:
        return attack, parts[attack]
    part = of_attack(run.run.records, attack)
    return attacks_in(part)[0], part


def names_of(parts: Mapping[tuple[str, str], Records]) -> dict[tuple[str, str], str]:
    """Return a short name of each part: the run, the attack, or both if both differ."""
    runs, attacks = ({key[place] for key in parts} for place in (0, 1))
    if len(runs) == 1:
        return {(run, attack): attack_text(attack) for run, attack in parts}
    if len(attacks) == 1:
        return {(run, attack): run for run, attack in parts}
    return {(run, attack): f"{run}: {attack_text(attack)}" for run, attack in parts}


def shown_name(name: str) -> str:
    """Return a name as a chart shows it: printable, and not too long.

    The middle of a long name is left out: long names often differ in their ends alone.
    """
    text = printable(name)
    if len(text) <= _LONGEST_NAME:
        return text
    end = _LONGEST_NAME // 2
    return f"{text[: _LONGEST_NAME - end - 1]}…{text[-end:]}"


def shown_distance(value: float) -> str:
    """Return a distance with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def plain(text: "Text") -> None:
    """Show a text from outside as it is: dollar signs in it are no formula."""
    text.set_parse_math(False)


def new_axes(size: tuple[float, float] = SIZE) -> "Axes":
    """Return the axes of a new figure, which pyplot does not know.

    Args:
        size: The width and the height of the figure in inches.

    Raises:
        MissingLibraryError: If Matplotlib is not installed.
    """
    figure = import_matplotlib().figure.Figure(figsize=size, layout="constrained")
    axes: Axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def import_matplotlib() -> Any:
    """Return the library that draws the figures.

    Raises:
        MissingLibraryError: If it is not installed.
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        raise MissingLibraryError(
            "figures need Matplotlib: pip install 'minnorm[report]'"
        ) from error
    return matplotlib


def checked_norm(norm: str | None) -> Norm | None:
    """Return a norm, after checking its name, or `None`."""
    return None if norm is None else check_norm(norm)
