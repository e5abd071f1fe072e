"""Records: one row for each (sample, attack, target), as Arrow tables.

| column | |
|---|---|
| attack | the attack's name in this run |
| norm | the norm that the attack minimizes: `l2`, `linf`, ... |
| radius_limit | the radius in that norm beyond which the attack does not search; null if none |
| fixed_radii | the radii within which it searches for any adversarial, as a text; null if |
| | it searches for the closest one |
| index | position of the sample in the whole data set |
| label, target | its true class; the target class, null if the attack is untargeted |
| clean_prediction | the predicted class of the input, -1 for logits that hold NaN |
| adversarial_prediction | that of the point that the attack returned, -2 if the point holds NaN |
| success | as the evaluation measured it |
| reported | the attack's own flag of its success |
| clean_share | the share of draws of a random model that classify the input correctly |
| adversarial_share | that in which the point of the attack is adversarial |
| l0, l1, l2, linf | distances of the adversarial, infinite where the attack failed |
| rounding | the gap between neighboring numbers, see `minnorm.radii.measured_gaps` |
| gray_l2 | L2 distance of the input to the uniformly gray image, infinite without bounds |
| constant | the constant C with which C&W found its adversarial; null for other attacks |
| forwards, backwards, seconds | the cost per sample: that of its batch, divided by its size |

The two shares are null for a model that is not random, see `minnorm.models.averaged`. They are of
draws that no attack has seen, and decide about predictions and success.

A constant is infinite where C&W failed, and 0 where the input is misclassified from the start.

NaN is no class. A sample whose logits hold NaN before any attack is misclassified: a success at
distance 0. A point of an attack whose logits hold NaN is a failure.
"""

import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm.errors import InputError
from minnorm.geometry import NORM_ORDERS, Norm

Records: TypeAlias = pa.Table
"""A table of the columns above."""

NO_POINT = -2
"""The prediction of a point with NaN or infinite values, of which the model is not the cause."""

_INCOMPLETE = b"incomplete"
"""The key of the warning in the metadata of incomplete records."""

_SHARES = ("clean_share", "adversarial_share")
"""The columns that only a random model fills."""

_ADDED = (*_SHARES, "constant")
"""The columns that records of earlier versions lack; null may stand for all of their values."""

SCHEMA = pa.schema(
    [
        pa.field("attack", pa.string(), nullable=False),
        pa.field("norm", pa.string(), nullable=False),
        pa.field("radius_limit", pa.float64()),
        pa.field("fixed_radii", pa.string()),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("label", pa.int64(), nullable=False),
        pa.field("target", pa.int64()),
        pa.field("clean_prediction", pa.int64(), nullable=False),
        pa.field("adversarial_prediction", pa.int64(), nullable=False),
        pa.field("success", pa.bool_(), nullable=False),
        pa.field("reported", pa.bool_(), nullable=False),
        pa.field("clean_share", pa.float64()),
        pa.field("adversarial_share", pa.float64()),
        *(pa.field(norm, pa.float64(), nullable=False) for norm in NORM_ORDERS),
        pa.field("rounding", pa.float64(), nullable=False),
        pa.field("gray_l2", pa.float64(), nullable=False),
        pa.field("constant", pa.float64()),
        pa.field("forwards", pa.float64(), nullable=False),
        pa.field("backwards", pa.float64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)


def make_records(
    attack: str,
    norm: Norm,
    indices: list[int],
    labels: Int64[Tensor, "b"],
    targets: Int64[Tensor, "b"] | None,
    *,
    radius_limit: float | None,
    fixed_radii: Sequence[float] | None = None,
    predictions: tuple[Int64[Tensor, "b"], Int64[Tensor, "b"]],
    success: Bool[Tensor, "b"],
    reported: Bool[Tensor, "b"],
    shares: tuple[Float[Tensor, "b"] | None, Float[Tensor, "b"] | None] = (None, None),
    distances: dict[Norm, Float[Tensor, "b"]],
    rounding: Float[Tensor, "b"],
    gray: Float[Tensor, "b"],
    constants: Float[Tensor, "b"] | None = None,
    spent: tuple[float, float, float],
) -> Records:
    """Make the rows of one batch.

    Args:
        attack: The attack's name.
        norm: The norm that it minimizes.
        indices: Positions of the samples in the whole data set.
        labels: Their true classes.
        targets: The target classes, `None` if untargeted.
        radius_limit: The radius beyond which it does not search, in that norm; `None` for none.
        fixed_radii: The radii within which it searches for any adversarial, in that norm; `None` if
            it searches for the closest one.
        predictions: The predicted classes of the inputs, and of the adversarials.
        success: Whether the attack succeeded on each sample.
        reported: Whether the attack itself says so.
        shares: Of a random model, the share of draws that classify each input correctly, and that
            in which each adversarial holds.
        distances: Distances of the adversarials, by norm.
        rounding: Gaps between neighboring numbers, see `minnorm.radii.measured_gaps`.
        gray: L2 distances of the inputs to the gray image, infinite without one.
        constants: The constant with which C&W found each adversarial; `None` for other attacks.
        spent: Forward passes, backward passes and seconds per sample.
    """
    count = len(indices)
    columns: dict[str, Any] = {
        "attack": [attack] * count,
        "norm": [norm] * count,
        "radius_limit": [radius_limit] * count,
        "fixed_radii": [None if fixed_radii is None else radii_as_text(fixed_radii)] * count,
        "index": indices,
        "label": labels.cpu().numpy(),
        "target": [None] * count if targets is None else targets.cpu().numpy(),
        "clean_prediction": predictions[0].cpu().numpy(),
        "adversarial_prediction": predictions[1].cpu().numpy(),
        "success": success.cpu().numpy(),
        "reported": reported.cpu().numpy(),
        **{
            name: [None] * count if values is None else values.double().cpu().numpy()
            for name, values in zip(_ADDED, (*shares, constants), strict=True)
        },
        **{norm: values.double().cpu().numpy() for norm, values in distances.items()},
        "rounding": rounding.double().cpu().numpy(),
        "gray_l2": gray.double().cpu().numpy(),
        "forwards": np.full(count, spent[0]),
        "backwards": np.full(count, spent[1]),
        "seconds": np.full(count, spent[2]),
    }
    return pa.table(columns, schema=SCHEMA)


def with_all_columns(records: Records) -> Records:
    """Add the columns that records of an earlier version lack.

    Their attacks within a radius may search for any adversarial within it.
    """
    for name in ("fixed_radii", *_ADDED):
        if name not in records.column_names:
            field = SCHEMA.field(name)
            added = pa.nulls(len(records), field.type)
            if name == "fixed_radii":
                added = pc.cast(records.column("radius_limit"), field.type)
            position = SCHEMA.get_field_index(name)
            records = records.add_column(position, field, added)
    return records


def radii_as_text(radii: Sequence[float]) -> str:
    """Return radii as the column `fixed_radii` holds them; a float is read back as it was."""
    return " ".join(repr(float(radius)) for radius in radii)


def radii_from_text(text: str) -> tuple[float, ...]:
    """Return the radii in a value of the column `fixed_radii`."""
    return tuple(map(float, text.split()))


def join_records(parts: list[Records]) -> Records:
    """Join tables of records into one, in the order of the parts.

    Its columns are in one piece: thousands of small pieces slow down all that follows.
    """
    return pa.concat_tables(parts).combine_chunks() if parts else SCHEMA.empty_table()


def attacks_in(records: Records) -> list[str]:
    """Return the names of the attacks, in the order of their first records."""
    names: list[str] = records.column("attack").unique().to_pylist()
    return names


def norms_in(records: Records) -> list[Norm]:
    """Return the norms that the attacks minimize, in the order of their first records."""
    norms: list[Norm] = records.column("norm").unique().to_pylist()
    return norms


def samples_in(records: Records) -> int:
    """Return the number of samples, each of which may have several records."""
    return len(records.column("index").unique())


def name_of_class(classes: Sequence[str], label: int) -> str:
    """Return the name of a class, its label as text if the name is unknown.

    Args:
        classes: The names of the classes by label, empty if they are unknown.
        label: The label.
    """
    return classes[label] if 0 <= label < len(classes) else str(label)


def are_targeted(records: Records) -> bool:
    """Return whether the attacks had targets; no records have none."""
    return bool(len(records) and records.column("target").null_count == 0)


def mark_incomplete(records: Records, warning: str) -> Records:
    """Return the records with a warning that some are missing; selections of them keep it."""
    return records.replace_schema_metadata({_INCOMPLETE: warning.encode()})


def warn_if_incomplete(records: Records) -> None:
    """Warn if records are marked as incomplete; Python shows the same warning once."""
    warning = (records.schema.metadata or {}).get(_INCOMPLETE)
    if warning is not None:
        warnings.warn(warning.decode(), stacklevel=1)


def check_distinct(records: Records) -> None:
    """Check that no attack has two records of a sample and a target, as joined runs may have.

    Raises:
        InputError: If one has: metrics would take one of the two, or count the sample twice.
    """
    samples = records.column("index").to_numpy()
    if (np.diff(samples) > 0).all():  # the usual order of one attack; the rest takes time
        return
    names = [records.column(name).combine_chunks() for name in ("attack", "norm")]
    keys = [
        *(each.dictionary_encode().indices.to_numpy() for each in names),
        samples,
        pc.fill_null(records.column("target"), -1).to_numpy(),
    ]
    order = np.lexsort(keys)
    again = np.logical_and.reduce([np.diff(key[order]) == 0 for key in keys])
    if again.any():
        row = int(order[np.flatnonzero(again)[0]])
        raise InputError(
            f"these records have sample {samples[row]} of {records.column('attack')[row]} more "
            "than once, as records of two runs have that are joined: take those of one run. Parts "
            "of a data set that both count from 0 cannot be joined: evaluate the whole set in one "
            "run."
        )
