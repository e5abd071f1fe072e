"""Attacks side by side with those of other libraries, on the same network, images and budget.

    make peers            sets up benchmarks/.venv and runs this
    python benchmarks/peers.py [--network zoo:mnist-cnn] [--data mnist-sample[:200]] [--runs 3]
                               [--only NAME ...] [--json FILE]

Every result is predicted and measured again here. The attacks take turns (ours, then each peer,
then ours again), and the medians of their times are compared. Each run has another seed; success
and distances are over all runs, so that they do not depend on a single draw.
"""

import argparse
import importlib.metadata
import json
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from libraries import LIBRARIES, Run
from minnorm import attacks, load_data, load_model
from minnorm.geometry import distances
from minnorm.runtime import provenance
from output import write
from pairings import Pairing, pairings


def measure(
    model: nn.Module, points: Tensor, inputs: Tensor, labels: Tensor, pairing: Pairing
) -> Tensor:
    """Return the distance of each point; infinite for a failure."""
    with torch.no_grad():
        wrong = model(points).argmax(1) != labels
    lengths = distances(points, inputs, pairing.norm)
    wrong &= (points >= 0).flatten(1).all(1) & (points <= 1).flatten(1).all(1)
    if pairing.within is not None:
        wrong &= lengths <= pairing.within * (1 + 1e-4)
    return lengths.where(wrong, torch.inf)


def summary(lengths: Tensor, ours: Tensor) -> dict[str, float]:
    """Return the success in percent, the mean and median distance, and our mean over this mean.

    All are over all runs. Means are over the successes, so an attack that finds the easy samples
    alone has the smallest mean: the ratio of means is over the samples that both have found. For
    the median, failures are infinitely far.
    """
    found, both = lengths.isfinite(), lengths.isfinite() & ours.isfinite()
    return {
        "success": 100 * float(found.float().mean()),
        "mean": float(lengths[found].mean()),
        "median": float(lengths.median()),
        "ours_over_this": float(ours[both].mean() / lengths[both].mean()),
    }


class Counter:
    """A counter of the gradients of a model, for any attack."""

    def __init__(self) -> None:
        self.gradients = 0

    def __call__(self, _model: nn.Module, _inputs: object, logits: Tensor) -> None:
        """Count the gradients of one forward pass; registered as a forward hook."""
        if logits.requires_grad:
            logits.register_hook(self._count)  # type: ignore[no-untyped-call]

    def _count(self, gradients: Tensor) -> None:
        self.gradients += len(gradients)


def compare(
    pairing: Pairing, model: nn.Module, inputs: Tensor, labels: Tensor, runs: int
) -> dict[str, dict[str, float]]:
    """Run our attack and each peer in turn; return what each found, its gradients and its time."""
    sides: dict[str, Run] = {"minnorm": pairing.ours, **pairing.peers}
    times: dict[str, list[float]] = {name: [] for name in sides}
    lengths: dict[str, list[Tensor]] = {name: [] for name in sides}
    counters = {name: Counter() for name in sides}
    for seed in range(runs):
        # Each goes first as often as last, in case the machine slows down.
        for name, side in list(sides.items())[:: -1 if seed % 2 else 1]:
            torch.manual_seed(seed)
            hook = model.register_forward_hook(counters[name])
            started = time.perf_counter()
            points = side(model, inputs.clone(), labels.clone(), seed)
            times[name].append(time.perf_counter() - started)
            hook.remove()
            lengths[name].append(measure(model, points, inputs, labels, pairing))
    ours = torch.cat(lengths["minnorm"])
    return {
        name: {
            **summary(torch.cat(lengths[name]), ours),
            "gradients": counters[name].gradients / (runs * len(inputs)),
            "seconds": statistics.median(times[name]),
        }
        for name in sides
    }


HEAD = """\
| attack | | success % | mean | median | our mean over it | gradients | seconds | over fastest |
|---|---|---|---|---|---|---|---|---|"""


def lines(name: str, rows: dict[str, dict[str, float]]) -> str:
    """Return the results of one pairing as lines of a Markdown table."""
    fastest = min(row["seconds"] for side, row in rows.items() if side != "minnorm")
    return "\n".join(
        f"| {name if side == 'minnorm' else ''} | {side} | {row['success']:.1f} | "
        f"{row['mean']:.4f} | {row['median']:.4f} | {row['ours_over_this']:.3f} | "
        f"{row['gradients']:.1f} | {row['seconds']:.2f} | "
        f"{row['seconds'] / fastest:.2f} |"
        for side, row in rows.items()
    )


def main() -> None:
    """Run the pairings, print a table, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="zoo:mnist-cnn")
    parser.add_argument("--data", default="mnist-sample[:200]")
    parser.add_argument("--radius-l2", type=float, default=1.5)
    parser.add_argument("--radius-linf", type=float, default=0.15)
    parser.add_argument("--step-size", type=float, default=0.1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument(
        "--json", type=Path, help="the file of the result; the table goes beside it"
    )
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    # Before the measurements, so that the revision is that of the measured code.
    session = provenance.describe(torch.device("cpu"))
    session["versions"] |= {name: importlib.metadata.version(name) for name in LIBRARIES}
    model = load_model(options.network)
    data = load_data(options.data)
    inputs, labels = data.batch(range(len(data)))
    inputs = inputs.contiguous()  # torchattacks needs it
    title = (
        f"{options.network}, {options.data}, radii {options.radius_l2} (L2) and "
        f"{options.radius_linf} (Linf), runs: {options.runs}, "
        f"{torch.get_num_threads()} CPU threads"
    )
    print(f"{title}\n\n{HEAD}", flush=True)
    # The first passes are slower than all others: they do not count.
    attacks.ddn(model, inputs, labels, steps=3)
    configuration = {k: v for k, v in vars(options).items() if k not in ("json", "only")}
    measured = kept(options.json, configuration, session)
    chosen = pairings(options.radius_l2, options.radius_linf, options.step_size)
    for name, pairing in chosen.items():
        if options.only is not None and not any(name.startswith(word) for word in options.only):
            continue
        if name not in measured:
            measured[name] = compare(pairing, model, inputs, labels, options.runs)
        print(lines(name, measured[name]), flush=True)
        result = {"configuration": configuration, "measured": measured, **session}
        table = "\n".join(lines(name, rows) for name, rows in measured.items())
        write(options.json, result, f"{title}\n\n{HEAD}\n{table}\n")


def kept(
    file: Path | None, configuration: dict[str, Any], session: dict[str, Any]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the pairings that an earlier call measured with the same settings and code."""
    if file is None or not file.exists():
        return {}
    there = json.loads(file.read_text())
    same = all(
        there.get(name) == now
        for name, now in [
            ("configuration", configuration),
            ("revision", session["revision"]),
            ("versions", session["versions"]),
        ]
    )
    if not same:
        return {}
    measured: dict[str, dict[str, dict[str, float]]] = there["measured"]
    for rows in measured.values():
        for row in rows.values():
            row.update({name: float("inf") for name, value in row.items() if value is None})
    return measured


if __name__ == "__main__":
    main()
