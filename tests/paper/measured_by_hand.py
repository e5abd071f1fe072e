"""Settings whose records are made by hand."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.record_tables import table
from minnorm.evaluation import Evaluation
from minnorm.evaluation.records import join_records, samples_in
from minnorm.paper.claim_results import check_claim
from minnorm.paper.claims import Claim
from minnorm.paper.experiment import AttackRow, Combined, Experiment, PaperFigures, Setting
from minnorm.paper.measuring import MeasuredSetting, OnProgress
from minnorm.paper.outcome import ClaimResult

BASE = np.random.default_rng(0).uniform(1.0, 2.0, 200).tolist()
"""The distances of an attack."""


def scaled(factor: float, noise: float = 0.02) -> list[float]:
    """Return the distances of another attack, farther by a factor on average."""
    errors = np.random.default_rng(1).normal(0, noise, len(BASE))
    found: list[float] = (factor * np.array(BASE) + errors).tolist()
    return found


def result(claim: Claim, *settings: MeasuredSetting) -> ClaimResult:
    """Return the result of a claim on settings."""
    return check_claim(claim, {one.setting.name: one for one in settings})


def measured(
    distances: Mapping[str, Sequence[float]],
    *,
    name: str = "MNIST",
    targets: Sequence[int] | None = None,
    indices: Sequence[int] | None = None,
    paper: dict[str, PaperFigures] | None = None,
    **setting: Any,
) -> MeasuredSetting:
    """Return a setting with the distances of each of its rows."""
    rows = tuple(
        AttackRow(name=row, attack="ddn", paper=(paper or {}).get(row)) for row in distances
    )
    parts = [
        table(values, attack=row, targets=targets, indices=indices)
        for row, values in distances.items()
    ]
    indices_of_run = [0, samples_in(join_records(parts)), 1]
    manifest = {"run": "r", "configuration": {"indices": indices_of_run, "acceleration": "off"}}
    return MeasuredSetting(
        Setting(name=name, model="m", data="d", attacks=rows, **setting),
        (Evaluation(join_records(parts), manifest, None),),
    )


def interrupted_after(units: int) -> OnProgress:
    """Return a progress that interrupts a run, like a user, once so many units are finished."""

    def interrupt(_: str, done: int, *__: int) -> None:
        if done == units:
            raise KeyboardInterrupt

    return interrupt


def shipped(*rows: AttackRow, images: int, **setting: Any) -> Setting:
    """Return a setting of the shipped network and images, as small as a test needs."""
    given = {
        "name": "MNIST",
        "model": "zoo:mnist-cnn",
        "data": f"mnist-sample[:{images}]",
        "batch_size": images,
        "accelerate": "off",
        "attacks": rows,
    }
    return Setting(**{**given, **setting})


def over(*rows: str, figures: PaperFigures | None = None) -> Combined:
    """Return the row `All` over some rows."""
    return Combined(over=rows, figures=figures)


def experiment(**values: Any) -> Experiment:
    """Return an experiment of kind `attacks`."""
    given = {"name": "table1", "scale": "cpu", "title": "A table", "kind": "attacks"}
    return Experiment(**{**given, **values})
