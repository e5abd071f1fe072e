"""Small and large evaluations with `accelerate='auto'` beside `accelerate='off'`.

    python benchmarks/auto.py [--runs 5] [--only CASE ...] [--json FILE]

All sides run in one process and take turns. `alone` is the attack without an evaluation, in batches
of the size of `off`; `auto` remembers nothing from earlier runs; `again` remembers what the runs
before it have measured. Large cases of a network come first, so `again` knows their choice.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from minnorm import evaluate, load_data, load_model
from minnorm.attacks import Model, normal_pursuit
from minnorm.data import Data
from minnorm.evaluation import Evaluation
from minnorm.runtime import provenance
from output import write

SIDES = ("off", "alone", "auto", "again")

EVALUATIONS = ("off", "auto", "again")


class Case(NamedTuple):
    """An evaluation: a network, a number of images, and the budget of the attack."""

    network: str
    data: str
    images: int
    budget: int


CASES = {
    f"{network}-{images}-{budget}": Case(f"zoo:{network}", data, images, budget)
    for network, data, images, budget in (
        ("mnist-cnn", "mnist", 1000, 100),
        ("mnist-cnn", "mnist", 1000, 30),
        ("mnist-cnn", "mnist", 100, 30),
        ("cifar10-cnn", "cifar10", 200, 100),
        ("cifar10-cnn", "cifar10", 200, 30),
        ("cifar10-cnn", "cifar10", 20, 30),
    )
}


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds of a run, and its result."""
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def alone(model: Model, data: Data, budget: int, size: int) -> None:
    """Run the attack on all images."""
    for start in range(0, len(data), size):
        inputs, labels = data.batch(range(start, min(start + size, len(data))))
        normal_pursuit(model, inputs, labels, budget=budget)


def measure(case: Case, runs: int, remembered: Path) -> dict[str, Any]:
    """Measure all sides of a case in turn.

    Args:
        case: The evaluation.
        runs: The number of runs of each side.
        remembered: The folder that keeps the decisions of the side `again`.
    """
    model, data = load_model(case.network), load_data(f"{case.data}[:{case.images}]")
    spec = f"normal_pursuit(budget={case.budget})"
    caches = {"again": remembered}

    def evaluation(side: str) -> Evaluation:
        with tempfile.TemporaryDirectory() as empty:
            # The data are open already; only decisions are read and written here.
            os.environ["MINNORM_CACHE"] = str(caches.get(side, empty))
            return evaluate(model, data, spec, accelerate="off" if side == "off" else "auto")

    usual = os.environ.get("MINNORM_CACHE")
    try:
        evaluation("again")  # it warms up, and what it measures is remembered
        chosen: dict[str, dict[str, Any]] = {}
        seconds: dict[str, list[float]] = {side: [] for side in SIDES}
        overhead: dict[str, list[float]] = {side: [] for side in EVALUATIONS}
        for number in range(runs):
            for side in SIDES if number % 2 == 0 else SIDES[::-1]:
                if side == "alone":
                    size = chosen["off"]["batch_size"]
                    taken, _ = timed(partial(alone, model, data, case.budget, size))
                else:
                    taken, result = timed(partial(evaluation, side))
                    inside = sum(result.records.column("seconds").to_pylist())
                    overhead[side].append(taken - inside)
                    chosen[side] = result.manifest["configuration"]
                seconds[side].append(taken)
    finally:
        if usual is None:
            os.environ.pop("MINNORM_CACHE", None)
        else:
            os.environ["MINNORM_CACHE"] = usual
    pairs = [ours / off for ours, off in zip(seconds["auto"], seconds["off"], strict=True)]
    return {
        "seconds": {side: statistics.median(found) for side, found in seconds.items()},
        "overhead": {side: statistics.median(found) for side, found in overhead.items()},
        "ratio": statistics.median(pairs),
        "ratios": pairs,
        "acceleration": {side: found["acceleration"] for side, found in chosen.items()},
        "batch_size": {side: found["batch_size"] for side, found in chosen.items()},
    }


def table(measured: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# `auto` beside `off`",
        "",
        "Seconds, medians of runs in turn. `alone`: the attack without an evaluation. `again`:",
        "`auto`, with the choices that the runs before it have measured. `overhead`: the seconds",
        "of an evaluation outside its attacks; preparation is part of it. `auto / off`: the median",
        "of the ratios of neighboring runs; in brackets the smallest and the largest.",
        "",
        "| network, images, budget | off | alone | auto | again | overhead: off, auto, again "
        "| auto | again | auto / off |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in measured.items():
        found = one["found"]
        overheads = ", ".join(f"{found['overhead'][side]:.2f}" for side in EVALUATIONS)
        cells = [
            name,
            *(f"{found['seconds'][side]:.2f}" for side in SIDES),
            overheads,
            *(
                f"{found['acceleration'][side]}, {found['batch_size'][side]} at once"
                for side in EVALUATIONS[1:]
            ),
            f"{found['ratio']:.3f} ({min(found['ratios']):.3f} to {max(found['ratios']):.3f})",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    measured: dict[str, Any] = {}
    session = provenance.describe(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as remembered:
        for name in options.only:
            print(name, flush=True)
            found = measure(CASES[name], options.runs, Path(remembered))
            measured[name] = {"found": found, **session}
            write(options.json, {"measured": measured}, table(measured))
    print(table(measured))


if __name__ == "__main__":
    main()
