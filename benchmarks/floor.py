"""The cost of DDN over its floor: the same number of bare forward and backward passes.

    python benchmarks/floor.py [--runs 7] [--json FILE]

In one process, in turn: DDN, and as many gradients of the model's summed logits with respect to the
same inputs. Prints the medians and their ratio; a ratio of 1 means that the attack itself is free.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from minnorm import ddn, load_data, load_model, runtime
from minnorm.attacks import Model
from output import write

SIZES = {1000: 50, 32: 200}
"""Steps for each batch size: half a minute and some seconds a run."""


def bare_passes(model: Model, inputs: Tensor, steps: int) -> None:
    """Computes the gradient of the summed logits with respect to the inputs, `steps` times."""
    for _ in range(steps):
        variables = inputs.detach().requires_grad_()
        torch.autograd.grad(model(variables).sum(), variables)


def seconds(function: Callable[[], object]) -> float:
    """Gives the time that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def measure(model: Model, batch: int, steps: int, runs: int) -> dict[str, float]:
    """Times both in turn, after one uncounted run of each, and gives medians and the ratio."""
    inputs, labels = load_data(f"mnist-sample[:{batch}]").batch(range(batch))
    bare: list[float] = []
    attack: list[float] = []
    for run in range(runs + 1):
        calls = [
            (bare, lambda: bare_passes(model, inputs, steps)),
            (attack, lambda: ddn(model, inputs, labels, steps=steps)),
        ]
        # Each goes first as often as the other, so that a machine that slows down favours neither.
        for times, call in calls[:: 1 if run % 2 else -1]:
            elapsed = seconds(call)
            if run > 0:
                times.append(elapsed)
    ratios = [cost / floor for cost, floor in zip(attack, bare, strict=True)]
    return {
        "batch": batch,
        "steps": steps,
        "runs": runs,
        "bare_seconds": statistics.median(bare),
        "ddn_seconds": statistics.median(attack),
        "ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "largest_ratio": max(ratios),
    }


def main() -> None:
    """Measures, prints, and writes the result with what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    # Taken first: the revision is that of the code that is measured, not of later changes.
    provenance = runtime.provenance(torch.device("cpu"))
    model = load_model("zoo:mnist-cnn")
    rows = [measure(model, batch, steps, options.runs) for batch, steps in SIZES.items()]
    print("| batch | steps | bare passes, s | ddn, s | ratio | least to largest |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['batch']} | {row['steps']} | {row['bare_seconds']:.3f} | "
            f"{row['ddn_seconds']:.3f} | {row['ratio']:.3f} | "
            f"{row['least_ratio']:.3f} to {row['largest_ratio']:.3f} |"
        )
    write(options.json, {"measured": rows, **provenance})


if __name__ == "__main__":
    main()
