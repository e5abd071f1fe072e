"""Adversarials in hand: the tensors of chosen records, read from the directory of their run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Float
from torch import Tensor

from minnorm import specs
from minnorm.errors import InputError
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.records import Records, attacks_in
from minnorm.evaluation.selection import (
    WORST_CASE,
    closest_as_found,
    indices_of,
    of_attack,
    targets_of,
)
from minnorm.evaluation.store.configuration import Configuration
from minnorm.evaluation.store.manifest import Manifest
from minnorm.evaluation.store.unit_files import Kept, UnitFiles
from minnorm.evaluation.store.units import Unit
from minnorm.geometry import NORM_ORDERS, Norm

_LISTED = 20
"""The most whole numbers that a message lists."""


@dataclass(frozen=True)
class Adversarials:
    """Adversarials of a run, with the inputs that they were made from.

    Attributes:
        records: The record of each, in the order of the tensors.
        inputs: The inputs as the model got them.
        adversarials: The adversarials; the input where the attack failed.
    """

    records: Records = field(repr=False)
    inputs: Float[Tensor, "n *d"] = field(repr=False)
    adversarials: Float[Tensor, "n *d"] = field(repr=False)

    def __len__(self) -> int:
        return len(self.records)

    def take(self, rows: Array) -> "Adversarials":
        """Return those of some rows, by their positions."""
        places = torch.from_numpy(rows)
        return Adversarials(
            self.records.take(pa.array(rows)), self.inputs[places], self.adversarials[places]
        )

    def __repr__(self) -> str:
        return f"Adversarials({len(self):,} of shape {list(self.inputs.shape[1:])})"


def choose_records(
    records: Records,
    attack: str,
    target: int | str | None = None,
    *,
    classes: Sequence[str] = (),
    indices: Sequence[int] | Array | None = None,
    norm: Norm | None = None,
) -> Records:
    """Return the records of some adversarials, see `Evaluation.adversarials`.

    Args:
        records: The records of a run.
        attack: The attack, or the closest of all.
        target: The target class, by label or name.
        classes: The names of the classes by label.
        indices: Positions of samples in the whole data set.
        norm: The norm in which the closest of all are the closest.

    Raises:
        InputError: If there is no such record.
    """
    named = norm_in_name(attack)
    wanted = None if indices is None else _checked(indices)
    if attack not in attacks_in(records) and (attack == WORST_CASE or named is not None):
        found = closest_as_found(_with_samples(records, wanted), named or norm)
    else:
        found = _with_samples(of_attack(records, attack), wanted)
    if target is not None:
        found = _with_target(found, _label_of(target, classes))
    return found if wanted is None else _ordered(found, wanted)


def norm_in_name(attack: str) -> Norm | None:
    """Return the norm in a name such as `worst case in l2`, which rows of tables have."""
    return {f"{WORST_CASE} in {norm}": norm for norm in NORM_ORDERS}.get(attack)


def batches_of(records: Records, configuration: Configuration) -> tuple[Array, Array]:
    """Return the batch of each record by number, and the position of its sample in the batch."""
    start, _, step = configuration.indices
    batches, places = np.divmod((indices_of(records) - start) // step, configuration.batch_size)
    return batches, places


def numbers_text(numbers: Sequence[int]) -> str:
    """Return labels or positions for a message, of many only the first."""
    more = ", ..." if len(numbers) > _LISTED else ""
    return ", ".join(map(str, numbers[:_LISTED])) + more


def read_adversarials(records: Records, manifest: Manifest, directory: Path) -> Adversarials:
    """Read the adversarials and the inputs of records; no other files are read than theirs.

    Args:
        records: Some records of a run.
        manifest: The manifest of the run.
        directory: Its directory.

    Raises:
        InputError: If the run has kept no adversarials, or a file is missing or damaged.
    """
    configuration = manifest.configuration
    if not configuration.save_adversarials:
        raise InputError(
            f"the run in {directory} has kept no adversarials: repeat it in another folder with "
            "save_adversarials=True, on the command line without --no-adversarials."
        )
    files = UnitFiles(directory, manifest)
    names = [entry.name for entry in configuration.attacks]
    targets = targets_of(records)
    batches, places = batches_of(records, configuration)
    column = records.column("attack")
    attacks = pc.index_in(column, value_set=pa.array(names, pa.string())).to_numpy()
    tensors: tuple[Tensor, Tensor] | None = None
    units, unit_of = np.unique(np.stack([batches, attacks]), axis=1, return_inverse=True)
    for number, (batch, attack) in enumerate(units.T.tolist()):
        kept = files.read(Unit(batch, attack))
        rows = np.flatnonzero(unit_of.reshape(-1) == number)
        found = _of_unit(kept, places[rows], targets[rows])
        if tensors is None:
            shape = (len(records), *found[0].shape[1:])
            tensors = (
                torch.empty(shape, dtype=found[0].dtype),
                torch.empty(shape, dtype=found[1].dtype),
            )
        for whole, part in zip(tensors, found, strict=True):
            whole[torch.from_numpy(rows)] = part
    if tensors is None:
        raise InputError(f"no adversarial of the run in {directory} was chosen: name at least one.")
    return Adversarials(records, *tensors)


def _label_of(target: int | str, classes: Sequence[str]) -> int:
    """Return the label of a target class that is given by its label or its name."""
    if isinstance(target, int | np.integer) and not isinstance(target, bool):
        return int(target)
    name = str(target)
    if name in classes:
        return list(classes).index(name)
    if name.isdecimal():
        return int(name)
    if classes:
        specs.choose(name, classes, "class", "of the data")
    raise InputError(
        f"target={target!r}: the names of the classes are unknown, so name the class by its label, "
        "a whole number."
    )


def _with_target(records: Records, label: int) -> Records:
    found = records.filter(pc.equal(records.column("target"), label))
    if len(found) > 0:
        return found
    targets = records.column("target").unique().drop_null().to_pylist()
    if not targets:
        raise InputError("these attacks are untargeted, so leave the target out.")
    available = numbers_text(sorted(targets))
    raise InputError(f"no record has the target {label}. Available: {available}.")


def _checked(indices: Sequence[int] | Array) -> Array:
    """Return the positions of samples as whole numbers, or raise `InputError`."""
    wanted = np.asarray(indices)
    if wanted.ndim != 1 or (len(wanted) > 0 and not np.issubdtype(wanted.dtype, np.integer)):
        raise InputError(f"indices={indices!r}: expected positions in the data, such as [0, 5, 7].")
    return wanted.astype(np.int64)


def _with_samples(records: Records, wanted: Array | None) -> Records:
    """Return the records of some samples; all of them for `None`."""
    if wanted is None:
        return records
    found = records.filter(pc.is_in(records.column("index"), pa.array(wanted)))
    lacking = wanted[~np.isin(wanted, indices_of(found))]
    if len(lacking) > 0:
        raise InputError(
            f"there is no such record of the sample {lacking[0]}: indices are positions in the "
            "whole data set, as in the column `index` of the records."
        )
    return found


def _ordered(records: Records, wanted: Array) -> Records:
    """Return the records in the order of their samples; none for a sample without a record."""
    known = indices_of(records)
    order = np.argsort(known, kind="stable")
    bounds = [np.searchsorted(known[order], wanted, side) for side in ("left", "right")]
    rows = [order[first:last] for first, last in zip(*bounds, strict=True)]
    return records.take(pa.array(np.concatenate([np.empty(0, np.int64), *rows])))


def _of_unit(kept: Kept, places: Array, targets: Array) -> tuple[Tensor, Tensor]:
    """Return the inputs and the adversarials of some records of a unit.

    Args:
        kept: The tensors of the unit.
        places: The position of the sample of each record in the batch.
        targets: The target of each record, -1 for none.
    """
    rows = torch.from_numpy(places)
    if "targets" in kept.adversarials:
        reached = kept.adversarials["targets"][:, rows] == torch.from_numpy(targets)
        turns = reached.int().argmax(0)
    else:
        turns = torch.zeros_like(rows)
    return kept.inputs["inputs"][rows], kept.adversarials["adversarials"][turns, rows]
