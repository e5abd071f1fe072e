"""Random models: what the number of draws of an average changes.

    python benchmarks/draws.py [--images 20] [--draws 1 4 16 32 64] [--json FILE]

A network of the zoo with normal noise on its inputs, attacked by normal pursuit as an average over
more and more draws. An attack on a function that hides the average ends on its decision boundary;
one on the average itself moves its adversarials on. The shares are of 1,024 other draws.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import minnorm
from minnorm.attacks.engine.draw_shares import (
    JUDGING,
    draw_seeds,
    required_share,
    shares_of_draws,
)
from minnorm.models import averaged
from minnorm.runtime import provenance
from output import write

NETWORK, NOISE, BUDGET = "zoo:mnist-cnn", 0.3, 30
JUDGE = 128
"""The further draws of an average over so many are 1,024."""


class Noise(nn.Module):
    """Normal noise on the inputs."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs with noise."""
        return inputs + NOISE * torch.randn_like(inputs)


def measure(draws: int, inputs: Tensor, labels: Tensor) -> dict[str, Any]:
    """Attack an average over draws without and with other draws, and measure the shares."""
    noisy = nn.Sequential(Noise(), minnorm.load_model(NETWORK)).eval()
    model = averaged(noisy, draws)
    judge = averaged(noisy, JUDGE, seed=1)
    seeds = draw_seeds(judge, JUDGING)
    row: dict[str, Any] = {"draws": draws, "required": required_share(model)}
    for name, attacked in (("boundary", partial(model)), ("moved", model)):
        found = minnorm.attack(attacked, inputs, labels, budget=BUDGET)
        shares = shares_of_draws(judge, found.adversarials, labels, False, seeds)
        row[name] = {
            "share": float(shares.mean()),
            "held": float((shares >= judge.threshold).double().mean()),
            "median": float(found.distances.median()),
            "mean": float(found.distances.mean()),
        }
    return row


def table(result: dict[str, Any]) -> str:
    """Return the result as a table."""
    lines = [
        "# Draws of a random model",
        "",
        f"`{NETWORK}` with normal noise of {NOISE:g} on its inputs, {result['images']} images of "
        f"`mnist-sample`, `minnorm.attack(budget={BUDGET})`. An adversarial holds if the model "
        "misclassifies it in at least half of 1,024 draws that the attack has not seen. Written "
        "by `draws.py`.",
        "",
        "| draws | on the boundary: average share % | hold % | mean norm "
        "| moved on: average share % | hold % | mean norm |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in result["rows"]:
        cells = [
            f"{100 * row[name]['share']:.0f} | {100 * row[name]['held']:.0f} "
            f"| {row[name]['mean']:.2f}"
            for name in ("boundary", "moved")
        ]
        lines.append(f"| {row['draws']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each number of draws, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--draws", type=int, nargs="*", default=[1, 4, 16, 32, 64])
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    inputs, labels = minnorm.load_data("mnist-sample").batch(range(options.images))
    rows = []
    for draws in options.draws:
        rows.append(measure(draws, inputs, labels))
        print(rows[-1], flush=True)
    result = {
        "images": options.images,
        "noise": NOISE,
        "budget": BUDGET,
        "rows": rows,
        **provenance.describe(torch.device("cpu")),
    }
    text = table(result)
    print(text)
    write(options.json, result, text)


if __name__ == "__main__":
    main()
