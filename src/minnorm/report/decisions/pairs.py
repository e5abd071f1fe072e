"""Two runs side by side: whether they can be compared, what differs, and the pairs of records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from minnorm.errors import InputError
from minnorm.evaluation import (
    Evaluation,
    Records,
    closest_records,
    norm_of_records,
    of_attack,
)
from minnorm.evaluation.estimates import Array, count_distinct
from minnorm.evaluation.metrics import is_correct, robust_radii
from minnorm.evaluation.mixtures import differences_of_samples
from minnorm.evaluation.records import attacks_in, norms_in
from minnorm.evaluation.selection import keys_of, values_of
from minnorm.evaluation.store.configuration import RestrictionsEntry
from minnorm.geometry import NORM_ORDERS, Norm
from minnorm.report.decisions.measures import known_distances, not_closest, robust_within

_ALIKE = {
    "data_fingerprint": "the samples",
    "indices": "the part of the data set",
    "targets": "the targets",
    "bounds": "the bounds",
    "restrictions": "the features that may change, or their bounds",
}
"""The fields of a configuration in which two runs must be equal."""

_NOTED = ("model", "batch_size", "acceleration", "seed", "dtype", "device")
"""The fields of a configuration in which two runs may differ."""

_ROWS = [(name, "ascending") for name in ("attack", "index", "target")]
"""The order of rows in which the records of two runs can be compared."""

_RESULTS = [*(name for name, _ in _ROWS), "clean_prediction", "success", *NORM_ORDERS]
"""The columns in which records of a run that repeats another one are equal."""


class PairedValues(NamedTuple):
    """Values of two runs for the same pairs, and the sample of each pair."""

    a: Array
    b: Array
    samples: Array


OTHER_ATTACKS = (
    "The attacks of the two runs differ, and a stronger set of attacks makes a model look less "
    "robust: compare one attack that both have (--attack, or 'of ATTACK' in a requirement), or run "
    "the same attacks."
)
"""What to know about a comparison for which `attacks_differ` holds."""


@dataclass(frozen=True)
class Pairs:
    """The records of two runs, row by row of the same sample and target.

    Attributes:
        a: Records of one attack, or the closest of all attacks, of the first run.
        b: Those of the second run.
        norm: The norm of the distances.
        other_targets: The number of pairs whose targets differ, since each model has its own least
            likely class.
    """

    a: Records
    b: Records
    norm: Norm
    other_targets: int = 0

    @property
    def samples(self) -> Array:
        """The sample of each pair."""
        return values_of(self.a, "index")

    @property
    def clean_hits(self) -> PairedValues:
        """Which samples each model classifies correctly, one pair for each sample."""
        samples, first = np.unique(self.samples, return_index=True)
        a, b = (is_correct(part)[first] for part in (self.a, self.b))
        return PairedValues(a, b, samples)

    @property
    def distances(self) -> PairedValues:
        """The distances of the pairs whose sample both models classify correctly.

        Beyond the radius within which all attacks of a run searched, a distance is infinite.
        """
        correct = self.both_correct
        a, b = (known_distances(part, self.norm)[correct] for part in (self.a, self.b))
        return PairedValues(a, b, self.samples[correct])

    @property
    def both_correct(self) -> Array:
        """Which pairs are of a sample that both models classify correctly."""
        both: Array = is_correct(self.a) & is_correct(self.b)
        return both

    @property
    def not_closest(self) -> str:
        """The remark that attacks of a run have not searched for the closest; empty if all have."""
        return not_closest(self.a, self.norm) or not_closest(self.b, self.norm)

    def is_known_at(self, radius: float) -> bool:
        """Return whether it is known of each pair in each run whether it is robust."""
        return all(
            np.array_equal(*robust_within(part, radius, self.norm)) for part in (self.a, self.b)
        )

    def robust_hits(self, radius: float) -> PairedValues:
        """Return which pairs are robust within a radius in each run."""
        a, b = (robust_radii(part, self.norm) > radius for part in (self.a, self.b))
        return PairedValues(a, b, self.samples)


def chosen_records(run: Evaluation, attack: str | None, norm: Norm | None) -> Records:
    """Return the records of an attack, or the closest of all attacks of the run.

    Args:
        run: The run.
        attack: The attack; `None` for the closest of all.
        norm: The norm in which to compare attacks; by default the one that all minimize.

    Raises:
        InputError: If there is no such attack, or the attacks minimize several norms and none is
            given.
    """
    if attack is not None:
        return of_attack(run.records, attack)
    several = len(attacks_in(run.records)) > 1
    return closest_records(run.records, norm) if several else run.records


def check_complete(run: Evaluation) -> None:
    """Check that no batches of a run are missing.

    Raises:
        InputError: If some are missing, or the run has no records.
    """
    for doubt in run.doubts:
        if doubt.kind == "incomplete":
            raise InputError(doubt.text)
    if len(run.records) == 0:
        raise InputError(f"the run {name_of(run)} has no records: nothing can be said about it.")


def check_comparable(a: Evaluation, b: Evaluation) -> None:
    """Check that two runs are of the same samples, with the same targets and bounds.

    Raises:
        InputError: If they are not; the message says what differs.
    """
    one, other = a.manifest["configuration"], b.manifest["configuration"]
    differences = [
        f"  {meaning}: {_in_words(one, name)} and {_in_words(other, name)}"
        for name, meaning in _ALIKE.items()
        if _comparable(one, name) != _comparable(other, name)
    ]
    if not differences:  # no fingerprint covers all of a data set that is read item by item
        dtype = one["dtype"] if one["dtype"] == other["dtype"] else None
        found = differences_of_samples(a.records, b.records, dtype)
        differences = [f"  the samples: {difference}" for difference in found]
    if differences:
        raise InputError(
            f"{name_of(a)} and {name_of(b)} cannot be compared sample by sample. What differs:",
            *differences,
            "Evaluate both models on the same data, with the same targets and bounds.",
        )


def pair_records(
    a: Evaluation, b: Evaluation, attack: str | None = None, norm: Norm | None = None
) -> Pairs:
    """Pair the records of two runs by sample and target.

    Args:
        a: The first run.
        b: The second run, for which `check_comparable` holds.
        attack: The attack; `None` for the closest of all attacks of each run.
        norm: The norm of the distances; by default the one that the attacks minimize.

    Raises:
        InputError: If a run lacks the attack, the attacks minimize several norms and none is given,
            or the targets of a sample differ.
    """
    for run in (a, b):
        norms = norms_in(run.records)
        if len(norms) > 1 and attack is None and norm is None:
            raise InputError(
                f"the attacks of {name_of(run)} minimize {' and '.join(norms)}: choose the norm to "
                f"measure in, for example --norm {norms[0]}, or one attack with --attack."
            )
    parts = [chosen_records(run, attack, norm) for run in (a, b)]
    one_norm, other_norm = (norm_of_records(part, norm) for part in parts)
    if one_norm != other_norm:
        raise InputError(
            f"the attacks of the two runs minimize {one_norm} and {other_norm}: choose the norm to "
            f"measure in, for example --norm {one_norm}."
        )
    one, other = (_sorted(part) for part in parts)
    (samples, targets), (other_samples, other_targets) = keys_of(one), keys_of(other)
    if not np.array_equal(samples, other_samples):
        raise InputError("the two runs do not have records of the same samples.")
    differing = int((targets != other_targets).sum())
    if differing and count_distinct(samples) < len(samples):
        seeds = " and ".join(str(run.manifest["configuration"]["seed"]) for run in (a, b))
        raise InputError(
            f"the targets of {differing:,} pairs differ (seeds: {seeds}): evaluate both models "
            "with the same seed."
        )
    return Pairs(one, other, one_norm, differing)


def is_repeat(a: Evaluation, b: Evaluation) -> bool:
    """Return whether a run repeats another one: the same model, attacks and results.

    Args:
        a: The first run.
        b: The second run, for which `check_comparable` holds.
    """
    if _models_differ(a, b) or attacks_differ(a, b):
        return False
    one, other = (run.records.select(_RESULTS).sort_by(_ROWS) for run in (a, b))
    return bool(one.equals(other))


def other_differences(a: Evaluation, b: Evaluation) -> tuple[str, ...]:
    """Return what else differs between two runs that can be compared, a line for each."""
    one, other = a.manifest["configuration"], b.manifest["configuration"]
    found = [
        f"{name.replace('_', ' ')}: {one[name]} and {other[name]}"
        for name in _NOTED
        if one[name] != other[name]
    ]
    if one["model"] == other["model"] and _models_differ(a, b):
        found.insert(0, f"model: both are {one['model']}, with other weights or code")
    if attacks_differ(a, b):
        found.append(f"attacks: {attack_names(a)} and {attack_names(b)}")
    return (*found, *_other_versions(a, b))


def _models_differ(a: Evaluation, b: Evaluation) -> bool:
    """Return whether the models have other weights, or other code as far as both runs know it."""
    one, other = (run.manifest["configuration"] for run in (a, b))
    codes = [configuration.get("model_code") for configuration in (one, other)]
    other_code = None not in codes and codes[0] != codes[1]
    return bool(one["model_fingerprint"] != other["model_fingerprint"] or other_code)


def attacks_differ(a: Evaluation, b: Evaluation) -> bool:
    """Return whether the runs have other attacks, or attacks whose code differs."""
    runs = [run.manifest["configuration"]["attacks"] for run in (a, b)]
    one, other = ({(entry["spec"], entry["code"]) for entry in attacks} for attacks in runs)
    return one != other


def attack_names(run: Evaluation) -> str:
    """Return the names of the attacks of a run."""
    return ", ".join(entry["name"] for entry in run.manifest["configuration"]["attacks"])


def name_of(run: Evaluation) -> str:
    """Return the directory of a run, or its model if it has none."""
    return str(run.directory or run.manifest["configuration"]["model"])


def _sorted(records: Records) -> Records:
    """Return records in the order of samples and targets."""
    samples, targets = keys_of(records)
    return records.take(pa.array(np.lexsort((targets, samples))))


def _comparable(configuration: Mapping[str, Any], name: str) -> Any:
    """Return a field so that equal values are the same, however they are written."""
    value: Any = configuration.get(name)
    if name == "indices":
        return range(*value)
    return list(value) if name == "bounds" else value


def _in_words(configuration: Mapping[str, Any], name: str) -> str:
    """Return the value of a field for a message."""
    if name == "data_fingerprint":
        return f"{configuration['data']} (fingerprint {str(configuration[name])[:8]})"
    if name == "indices":
        return f"[{':'.join(map(str, configuration[name]))}]"
    value = configuration.get(name)
    if name == "restrictions" and value is not None:
        return str(RestrictionsEntry(**value))
    return "none" if value is None else str(value)


def _other_versions(a: Evaluation, b: Evaluation) -> list[str]:
    """Return which versions differ between the last sessions of two runs."""
    sessions = [run.manifest["sessions"][-1:] for run in (a, b)]
    one, other = (found[0].get("versions", {}) if found else {} for found in sessions)
    return [
        f"version of {name}: {one.get(name, 'none')} and {other.get(name, 'none')}"
        for name in sorted({*one, *other})
        if one.get(name) != other.get(name)
    ]
