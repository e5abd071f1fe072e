"""Records made by hand, for the tests of metrics and tables."""

import math
from collections.abc import Sequence

import pyarrow as pa

from minnorm.evaluation import SCHEMA, Records


def table(
    distances: Sequence[float],
    *,
    attack: str = "ddn",
    norm: str = "l2",
    indices: Sequence[int] | None = None,
    targets: Sequence[int] | None = None,
    gray: float = 9.0,
    backwards: float = 5.0,
) -> Records:
    """Gives records with these L2 distances; 0 is a sample that was misclassified, inf a failure.

    The other norms are multiples of the L2 distance.
    """
    count = len(distances)
    wrong = [distance == 0 for distance in distances]
    columns = {
        "attack": [attack] * count,
        "norm": [norm] * count,
        "index": list(range(count)) if indices is None else list(indices),
        "label": [0] * count,
        "target": [None] * count if targets is None else list(targets),
        "clean_prediction": [int(w) for w in wrong],
        "adversarial_prediction": [int(math.isfinite(d)) for d in distances],
        "success": [math.isfinite(d) for d in distances],
        "l0": [10 * d for d in distances],
        "l1": [4 * d for d in distances],
        "l2": list(distances),
        "linf": [d / 2 for d in distances],
        "gray_l2": [gray] * count,
        "forwards": [backwards + 1] * count,
        "backwards": [backwards] * count,
        "seconds": [0.25] * count,
    }
    return pa.table(columns, schema=SCHEMA)
