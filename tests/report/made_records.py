"""Records of all kinds that a report must show."""

import math

import pyarrow as pa

from evaluation.record_tables import table

INF = math.inf
BOTH_NORMS = pa.concat_tables([table([1.0, 2.0]), table([1.0, 2.0], attack="x", norm="linf")])
ODD_NAME = pa.concat_tables([table([1.0, 2.0], attack="worst case"), table([1.0, 2.0], attack="b")])
RUNS: dict[str, pa.Table] = {
    "no samples": table([]),
    "only misclassified samples": table([0.0, 0.0]),
    "only failures": table([INF, INF]),
    "an attack within a radius": table([INF, INF, 0.1], radius_limit=0.3),
    "any adversarial within a radius": table(
        [INF, 0.2, 0.1, 0.3], radius_limit=0.3, fixed_radii="0.3"
    ),
    "two norms": BOTH_NORMS,
    "targets": table([1.0, 2.0, 3.0, INF], indices=[0, 0, 1, 1], targets=[1, 2, 1, 2]),
    "counts of pixels": table([1.0, 2.0], norm="l0"),
    "an attack named as the closest": ODD_NAME,
}
