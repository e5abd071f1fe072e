"""Norms of attacks without gradients on models that tell their logits: the choice for `scores`.

    python benchmarks/scores.py [--models forest ...] [--norms l2 linf] [--budgets 250 1000]
                                [--json FILE]

`minnorm.attack(..., access="scores")` has to choose one attack for each norm. Each attack runs with
each budget, since the schedule of Square follows from it. The models of tables are scikit-learn's,
trained on 1,200 of its digits with fixed seeds; the others are of the zoo. Samples that are
misclassified from the start count with a norm of 0.
"""

import argparse
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from torch import Tensor, nn

import minnorm
from minnorm.attacks import decision_pursuit, score_pursuit, square_min_norm
from minnorm.runtime import provenance
from output import write

ATTACKS: dict[str, Callable[..., Any]] = {
    "score_pursuit": score_pursuit,
    "square_min_norm": square_min_norm,
    "decision_pursuit": decision_pursuit,
}
"""The attacks by name."""

TRAINED = 1200
"""The digits that the models of tables are trained on; the next ones are attacked."""

SAMPLES = 50
"""The samples of each model that are attacked."""

Victim = tuple[nn.Module, Tensor, Tensor]


def digits(estimator: Any) -> Victim:
    """Return a classifier of scikit-learn, trained on digits, with other digits."""
    values, classes = load_digits(return_X_y=True)
    values = (values / 16).astype("float32")
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(0)).numpy()
    values, classes = values[order], classes[order]
    estimator.fit(values[:TRAINED], classes[:TRAINED])
    chosen = slice(TRAINED, TRAINED + SAMPLES)
    model = minnorm.models.from_estimator(estimator)
    return model, torch.from_numpy(values[chosen]), torch.from_numpy(classes[chosen])


def images(network: str, data: str) -> Victim:
    """Return a network of the zoo with the first test images."""
    inputs, labels = minnorm.load_data(f"{data}[:{SAMPLES}]").batch(range(SAMPLES))
    return minnorm.load_model(f"zoo:{network}").eval(), inputs, labels


MODELS: dict[str, Callable[[], Victim]] = {
    "digits, network": lambda: digits(MLPClassifier((64,), max_iter=300, random_state=0)),
    "digits, SVM": lambda: digits(SVC(random_state=0)),
    "digits, forest": lambda: digits(RandomForestClassifier(50, random_state=0)),
    "mnist-cnn": partial(images, "mnist-cnn", "mnist"),
    "cifar10-cnn": partial(images, "cifar10-cnn", "cifar10"),
    "cifar10-cnn-ddn": partial(images, "cifar10-cnn-ddn", "cifar10"),
}
"""The models with their samples, by name."""


def measure(victim: Victim, attack: Callable[..., Any], norm: str, budget: int) -> dict[str, float]:
    """Return the median, the mean, and the share that is found, of an attack."""
    result = attack(*victim, norm=norm, budget=budget)
    return {
        "median": float(result.distances.median()),
        "mean": float(result.distances.mean()),
        "found": float(result.success.float().mean()),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as Markdown: the median norms, with the means in parentheses."""
    cells = {
        (row["model"], row["norm"], row["budget"], row["attack"]): (
            f"{row['median']:.3f} ({row['mean']:.3f})"
        )
        for row in rows
    }
    lines = [
        f"Median norm (mean) of {SAMPLES} samples.",
        "",
        "| model | norm | queries | " + " | ".join(ATTACKS) + " |",
        "|---|---|--:|" + "--:|" * len(ATTACKS),
    ]
    for model, norm, budget in dict.fromkeys(key[:3] for key in cells):
        found = [cells.get((model, norm, budget, attack), "") for attack in ATTACKS]
        lines.append(f"| {model} | {norm} | {budget:,} | " + " | ".join(found) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--norms", nargs="*", default=["l2", "linf"], choices=["l2", "linf"])
    parser.add_argument("--budgets", nargs="*", type=int, default=[250, 1000])
    parser.add_argument(
        "--json", type=Path, help="the file of the result; the table goes beside it"
    )
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    session = provenance.describe(torch.device("cpu"))
    rows: list[dict[str, Any]] = []
    for model in options.models:
        victim = MODELS[model]()
        for norm in options.norms:
            for budget in options.budgets:
                for name, attack in ATTACKS.items():
                    row = {"model": model, "norm": norm, "budget": budget, "attack": name}
                    rows.append({**row, **measure(victim, attack, norm, budget)})
                    print(rows[-1], flush=True)
                    write(options.json, {"rows": rows, **session}, table(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
