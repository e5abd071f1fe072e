"""Evaluation: model, data and attacks to records; metrics are pure functions of records."""

from minnorm.evaluation._evaluate import Evaluation, evaluate, load_run
from minnorm.evaluation.metrics import (
    WORST_CASE,
    Estimate,
    Summary,
    accuracy_at,
    breakdown,
    clean_accuracy,
    closest_target,
    hardest_target,
    mean_distance,
    median_distance,
    of_attack,
    optimality,
    robustness_curve,
    success_rate,
    summarize,
    worst_case,
)
from minnorm.evaluation.records import SCHEMA, Records

__all__ = [
    "SCHEMA",
    "WORST_CASE",
    "Estimate",
    "Evaluation",
    "Records",
    "Summary",
    "accuracy_at",
    "breakdown",
    "clean_accuracy",
    "closest_target",
    "evaluate",
    "hardest_target",
    "load_run",
    "mean_distance",
    "median_distance",
    "of_attack",
    "optimality",
    "robustness_curve",
    "success_rate",
    "summarize",
    "worst_case",
]
