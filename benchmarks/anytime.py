"""Norm against cost: our attack and others, at budgets from 10 to 1,000.

    python benchmarks/anytime.py [--networks mnist-cnn ...] [--budgets 30 100 ...]
                                 [--attacks ddn ...] [--json FILE]

For each budget, each attack runs with as many steps as the budget allows. The evaluation measures
the result and counts the cost. The cost of a forward pass is its share of the time of a gradient,
measured on the network itself. The envelope is the smallest distance of each sample over all runs.
A table and a figure go beside the JSON file. Finished runs in runs/anytime are kept: after a change
of an attack, delete its runs. Each row names the revision of its run.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cost_figure import draw_all
from minnorm import evaluate, load_data, load_model
from minnorm.evaluation import (
    Evaluation,
    Records,
    closest_records,
    mean_distance,
    optimality,
    summarize,
)
from minnorm.evaluation.records import join_records
from minnorm.runtime import provenance
from networks import NETWORKS
from output import write

BUDGETS = (10, 25, 30, 50, 100, 300, 1000)
"""The budgets, in gradients."""


def attacks_at(budget: int) -> dict[str, str]:
    """Return the specs that spend about this budget, by the names of the attacks."""
    searches = 9 if budget >= 300 else 4
    radii = 10 if budget >= 100 else 5
    found = {
        "normal_pursuit": f"normal_pursuit(budget={budget})",
        "ddn": f"ddn(steps={budget})",
        "fmn": f"fmn(steps={budget})",
        "alma": f"alma(steps={budget})",
        "apgd_min_norm": f"apgd_min_norm(searches={radii}, steps={max(budget // radii, 1)})",
    }
    if budget >= 25:
        steps = budget // searches
        found["carlini_wagner"] = (
            f"carlini_wagner(searches={searches}, steps={steps}, step_size=0.05, "
            "initial_constant=1.0)"
        )
    if budget >= 50:
        # A step costs as many backward passes as there are candidates.
        found["superdeepfool"] = f"superdeepfool(steps={budget // 10}, crossing_steps=10)"
    return found


def forward_cost(model: nn.Module, inputs: torch.Tensor, runs: int = 15) -> float:
    """Measure the share of the forward pass in the time of a gradient; the median of runs."""
    ratios = []
    for _ in range(runs):
        variables = inputs.clone().requires_grad_()
        started = time.perf_counter()
        logits = model(variables)
        forward = time.perf_counter() - started
        torch.autograd.grad(logits.sum(), variables)
        ratios.append(forward / (time.perf_counter() - started))
    return statistics.median(ratios[1:])


def row(run: Evaluation, envelope: Records, share: float) -> dict[str, Any]:
    """Return what an attack found at one budget, and what it cost."""
    found = summarize(run.records, "", over="all")
    return {
        "forwards": found.forwards,
        "backwards": found.backwards,
        "cost": share * found.forwards + (1 - share) * found.backwards,
        "success": found.success.value,
        "mean": found.mean.value,
        "median": found.median.value,
        "optimality": optimality(run.records, envelope),
        "revision": run.manifest["sessions"][0]["revision"],
    }


def measure(name: str, budgets: list[int], only: list[str] | None) -> dict[str, Any]:
    """Run the attacks at all budgets on a network."""
    model_spec, data_spec = NETWORKS[name]
    model, data = load_model(model_spec), load_data(data_spec)
    share = forward_cost(model, data.batch(range(min(len(data), 100)))[0])
    runs = {}
    for budget in budgets:
        for attack, spec in attacks_at(budget).items():
            if only and attack not in only:
                continue
            print(f"{name}: {spec}", flush=True)
            runs[budget, attack] = evaluate(
                model_spec,
                data_spec,
                spec,
                out=Path("runs/anytime") / name / spec,
                batch_size=100,
                accelerate="off",
                save_adversarials=False,
            )
    envelope = closest_records(join_records([run.records for run in runs.values()]))
    rows = [
        {"budget": budget, "name": attack, **row(run, envelope, share)}
        for (budget, attack), run in runs.items()
    ]
    best = mean_distance(envelope, over="all")
    return {"data": data_spec, "forward_cost": share, "envelope": best.value, "rows": rows}


def tables(measured: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    parts = []
    for name, result in measured.items():
        parts += [
            f"## {name}, {result['data']}",
            "",
            f"Envelope: mean {result['envelope']:.4f}. A forward pass costs "
            f"{result['forward_cost']:.2f} gradients.",
            "",
            "| budget | attack | cost | success % | mean | over envelope | median | optimality |",
            "|---|---|---|---|---|---|---|---|",
            *(
                f"| {line['budget']} | {line['name']} | {line['cost']:.1f} | "
                f"{100 * line['success']:.1f} | {line['mean']:.4f} | "
                f"{line['mean'] / result['envelope']:.3f} | {line['median']:.4f} | "
                f"{line['optimality']:.4f} |"
                for line in result["rows"]
            ),
            "",
        ]
    return "\n".join(parts)


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--budgets", nargs="*", type=int, default=list(BUDGETS))
    parser.add_argument("--attacks", nargs="*", help="only these (default: all)")
    parser.add_argument("--json", type=Path, help="the file of the result; the tables go beside it")
    options = parser.parse_args()
    # Before the measurements, so that the revision is that of the measured code.
    session = provenance.describe(torch.device("cpu"))
    for name in options.networks:
        load_model(NETWORKS[name][0])  # if it is missing, fail now, not after hours
    measured: dict[str, Any] = {}
    for name in options.networks:
        measured[name] = measure(name, options.budgets, options.attacks)
        print(tables({name: measured[name]}))
        result = {"budgets": options.budgets, "measured": measured, **session}
        write(options.json, result, tables(measured))
        if options.json is not None:
            draw_all(measured, options.json.with_suffix(".svg"))


if __name__ == "__main__":
    main()
