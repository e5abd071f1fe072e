"""Evaluation: attacks on a model and data, their records, and metrics of records."""

from minnorm.evaluation.estimates import Estimate, UpperBound
from minnorm.evaluation.evaluation import evaluate
from minnorm.evaluation.exports.exports import ExportedAdversarials, export_adversarials
from minnorm.evaluation.global_optimality import optimality
from minnorm.evaluation.metrics import (
    Summary,
    accuracy_at,
    clean_accuracy,
    mean_distance,
    median_distance,
    robustness_curve,
    success_rate,
    summarize,
)
from minnorm.evaluation.records import SCHEMA, Records
from minnorm.evaluation.selection import (
    WORST_CASE,
    breakdown,
    closest_records,
    closest_target,
    hardest_target,
    norm_of_records,
    of_attack,
)
from minnorm.evaluation.store.adversarials import Adversarials
from minnorm.evaluation.store.loaded_runs import Evaluation, load_run

__all__ = [
    "SCHEMA",
    "WORST_CASE",
    "Adversarials",
    "Estimate",
    "Evaluation",
    "ExportedAdversarials",
    "Records",
    "Summary",
    "UpperBound",
    "accuracy_at",
    "breakdown",
    "clean_accuracy",
    "closest_records",
    "closest_target",
    "evaluate",
    "export_adversarials",
    "hardest_target",
    "load_run",
    "mean_distance",
    "median_distance",
    "norm_of_records",
    "of_attack",
    "optimality",
    "robustness_curve",
    "success_rate",
    "summarize",
]


def __dir__() -> list[str]:
    return __all__
