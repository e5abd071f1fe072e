"""Records made by hand, and comparisons of records."""

import math
from collections.abc import Sequence

import pyarrow as pa
from hypothesis import strategies as st

from minnorm.evaluation import SCHEMA, Estimate, Records

INF = math.inf

# A coarse grid, so that there are ties, and radii that are exactly a distance.
DISTANCE = st.one_of(st.integers(0, 12).map(lambda n: n / 4), st.just(INF))
DISTANCES = st.lists(DISTANCE, min_size=1, max_size=30)


def table(
    distances: Sequence[float],
    *,
    attack: str = "ddn",
    norm: str = "l2",
    indices: Sequence[int] | None = None,
    targets: Sequence[int] | None = None,
    radius_limit: float | None = None,
    fixed_radii: str | None = None,
    rounding: float = 2**-23,
    gray: float = 9.0,
    backwards: float = 5.0,
) -> Records:
    """Return records with these L2 distances; 0 is a misclassified sample, inf a failure.

    The other norms are multiples of the L2 distance.
    """
    count = len(distances)
    wrong = [distance == 0 for distance in distances]
    columns = {
        "attack": [attack] * count,
        "norm": [norm] * count,
        "radius_limit": [radius_limit] * count,
        "fixed_radii": [fixed_radii] * count,
        "index": list(range(count)) if indices is None else list(indices),
        "label": [0] * count,
        "target": [None] * count if targets is None else list(targets),
        "clean_prediction": [int(w) for w in wrong],
        "adversarial_prediction": [int(math.isfinite(d)) for d in distances],
        "success": [math.isfinite(d) for d in distances],
        "reported": [math.isfinite(d) for d in distances],
        "clean_share": [None] * count,
        "adversarial_share": [None] * count,
        "l0": [10 * d for d in distances],
        "l1": [4 * d for d in distances],
        "l2": list(distances),
        "linf": [d / 2 for d in distances],
        "rounding": [rounding] * count,
        "gray_l2": [gray] * count,
        "constant": [None] * count,
        "forwards": [backwards + 1] * count,
        "backwards": [backwards] * count,
        "seconds": [0.25] * count,
    }
    return pa.table(columns, schema=SCHEMA)


def same(found: Records, expected: Records) -> bool:
    """Return whether two tables of records are equal in all columns but the seconds."""
    return bool(found.drop_columns(["seconds"]).equals(expected.drop_columns(["seconds"])))


def is_nan(estimate: Estimate) -> bool:
    """Return whether an estimate and its interval are NaN."""
    return all(math.isnan(number) for number in estimate)
