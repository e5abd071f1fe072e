"""The parts of a run that charts and texts are about: its attacks, and the closest of all."""

from itertools import islice
from typing import cast

from minnorm.evaluation import Records
from minnorm.geometry import Norm, check_norm
from minnorm.report.runs import LabeledRun


def main_norm(run: LabeledRun, norm: Norm | None = None) -> Norm:
    """Return the norm in which to measure a run: the given one, or that of its first attack.

    Args:
        run: The run.
        norm: The norm to use, if one is given.
    """
    if norm is not None:
        return check_norm(norm)
    records = run.run.records
    return cast("Norm", records.column("norm")[0].as_py()) if len(records) else "l2"


def attack_parts(run: LabeledRun, norm: Norm | None = None) -> dict[str, Records]:
    """Return the records of each attack and, of several attacks, the closest of all.

    These are the first rows of `minnorm.evaluation.breakdown`, without those for single targets.

    Args:
        run: The run.
        norm: The norm of the distances; by default each attack's own.
    """
    attacks = len(run.run.records.column("attack").unique())
    norms = 1 if norm is not None else len(run.run.records.column("norm").unique())
    return dict(islice(run.parts(norm).items(), attacks + norms * (attacks > 1)))


def closest_part(run: LabeledRun, norm: Norm | None = None) -> Records:
    """Return the closest records of all attacks of a run that has some, in `main_norm`."""
    return list(attack_parts(run, main_norm(run, norm)).values())[-1]
