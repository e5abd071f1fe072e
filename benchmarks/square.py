"""Square beside the one of torchattacks: success within a radius at equal queries.

    python benchmarks/square.py [--only CASE ...] [--runs 3] [--json FILE]

Every result is predicted and measured again here. Each run has another seed; the sides take turns.
"""

import argparse
import importlib.metadata
import json
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from floor import Passes
from libraries import Run, of_ours, of_torchattacks
from minnorm import attacks, load_data, load_model
from minnorm.geometry import Norm, distances
from minnorm.runtime import provenance
from output import write

THEIR_NORMS = {"l2": "L2", "linf": "Linf"}
"""The names of norms in torchattacks."""


class Case(NamedTuple):
    """A network, images, a ball and a number of queries."""

    network: str
    data: str
    norm: Norm
    epsilon: float
    queries: int


CASES = {
    f"{case.network.removeprefix('zoo:')} {case.norm} {case.queries}": case
    for case in (
        Case("zoo:mnist-cnn", "mnist[:100]", "l2", 2.0, 300),
        Case("zoo:mnist-cnn", "mnist[:100]", "linf", 0.15, 300),
        Case("zoo:cifar10-cnn", "cifar10[:100]", "l2", 0.8, 300),
        Case("zoo:cifar10-cnn", "cifar10[:100]", "linf", 6 / 255, 300),
        Case("zoo:cifar10-cnn-ddn", "cifar10[:100]", "l2", 2.0, 300),
        Case("zoo:cifar10-cnn-ddn", "cifar10[:100]", "linf", 12 / 255, 300),
        Case("zoo:mnist-cnn", "mnist[:100]", "l2", 1.5, 3000),
        Case("zoo:mnist-cnn", "mnist[:100]", "linf", 0.12, 3000),
    )
}


def found(
    model: nn.Module, points: Tensor, inputs: Tensor, labels: Tensor, ball: tuple[Norm, float]
) -> Tensor:
    """Return which points are adversarial, inside the bounds and within the ball: norm, radius."""
    norm, epsilon = ball
    with torch.no_grad():
        wrong: Tensor = model(points).argmax(1) != labels
    inside = ((points >= 0) & (points <= 1)).flatten(1).all(1)
    return wrong & inside & (distances(points, inputs, norm) <= epsilon * (1 + 1e-4))


def measure(case: Case, runs: int) -> dict[str, Any]:
    """Return, for each side, the successes of each run in percent, and the mean queries."""
    model, data = load_model(case.network), load_data(case.data)
    inputs, labels = data.batch(range(len(data)))
    settings = {"norm": THEIR_NORMS[case.norm], "eps": case.epsilon, "n_queries": case.queries}
    sides: dict[str, Run] = {
        "minnorm": of_ours(
            attacks.square, epsilon=case.epsilon, norm=case.norm, budget=case.queries
        ),
        "torchattacks": of_torchattacks("Square", **settings),
    }
    result: dict[str, Any] = {name: {"success": [], "queries": []} for name in sides}
    for seed in range(runs):
        for name, side in sides.items():
            passes = Passes()
            hook = model.register_forward_hook(passes)
            points = side(model, inputs.clone(), labels.clone(), seed)
            hook.remove()
            hit = found(model, points, inputs, labels, (case.norm, case.epsilon))
            result[name]["success"].append(int(hit.sum()))
            result[name]["queries"].append(passes.forwards / len(inputs))
    return {"images": len(inputs), **result}


def table(measured: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# Square at equal queries",
        "",
        "Success in percent: the mean of the runs, in brackets each run. An image that is",
        "misclassified from the start is a success. Mean queries: those of a sample, until it is",
        "found; ours count the clean image. `budget` and `n_queries` are the queries of the table.",
        "",
        "| network | norm | radius | queries | images | ours % | torchattacks % | mean queries: "
        "ours, torchattacks |",
        "|---|---|--:|--:|--:|---|---|---|",
    ]
    for name, one in measured.items():
        case = CASES[name]
        cells = [
            f"`{case.network}`", case.norm, f"{case.epsilon:.4g}", f"{case.queries:,}",
            str(one["images"]),
        ]  # fmt: skip
        for side in ("minnorm", "torchattacks"):
            shares = [100 * number / one["images"] for number in one[side]["success"]]
            cells.append(f"{fmean(shares):.1f} ({', '.join(f'{share:.0f}' for share in shares)})")
        cells.append(
            ", ".join(f"{fmean(one[side]['queries']):.0f}" for side in ("minnorm", "torchattacks"))
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    session = provenance.describe(torch.device("cpu"))
    session["versions"]["torchattacks"] = importlib.metadata.version("torchattacks")
    measured: dict[str, Any] = {}
    if options.json is not None and options.json.exists():
        measured = json.loads(options.json.read_text())["measured"]  # kept from an earlier call
    for name in options.only:
        if name in measured:
            continue
        print(name, flush=True)
        measured[name] = {**measure(CASES[name], options.runs), **session}
        measured = {name: measured[name] for name in CASES if name in measured}
        write(options.json, {"measured": measured}, table(measured))
    print(table(measured))


if __name__ == "__main__":
    main()
