"""The parts of a run that charts and texts are about: its attacks, and the closest of all."""

from itertools import islice

from minnorm.evaluation import Records
from minnorm.evaluation.records import attacks_in, norms_in
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
    return [*norms_in(run.run.records), "l2"][0]


def attack_parts(run: LabeledRun, norm: Norm | None = None) -> dict[str, Records]:
    """Return the records of each attack and, of several attacks, the closest of all.

    These are the first rows of `minnorm.evaluation.breakdown`, without those for single targets.

    Args:
        run: The run.
        norm: The norm of the distances; by default each attack's own.
    """
    attacks = len(attacks_in(run.run.records))
    norms = 1 if norm is not None else len(norms_in(run.run.records))
    return dict(islice(run.parts(norm).items(), attacks + norms * (attacks > 1)))


def closest_part(run: LabeledRun, norm: Norm | None = None) -> Records:
    """Return the closest records of all attacks of a run that has some, in `main_norm`."""
    return list(attack_parts(run, main_norm(run, norm)).values())[-1]
