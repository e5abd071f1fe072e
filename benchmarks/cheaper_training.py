"""Robust accuracy against the gradients spent in training: what makes training cheaper.

    python benchmarks/cheaper_training.py [--ways "2 steps, warm" ...] [--json FILE]

Each way trains the MNIST network with the recipe `mnist-cnn-ddn` on 10,000 images, for two numbers
of epochs. A pass is a forward and a backward pass, for a gradient of the attack or an update of the
weights. Finished runs in runs/cheaper_training are kept. A table and a figure go beside the JSON
file.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib import pyplot as plt

from minnorm import load_data, load_model
from minnorm.attacks.engine.tournaments import FORWARD_COST
from minnorm.files import write_atomically
from minnorm.runtime import provenance
from minnorm.training import (
    RobustValidation,
    accuracy,
    load_recipe,
    robust_accuracy,
    train,
)
from output import save_figure, write

RECIPE = "mnist-cnn-ddn"
"""The recipe that all ways share."""

IMAGES = 10_000
"""The number of training images."""

EPSILON = 2.0
"""The L2 radius of the accuracy under attack."""

IN_TRAINING = RobustValidation(epsilon=EPSILON, images=200)
"""The validation that chooses the best epoch: few images, since it costs as much as training."""

VALIDATION = RobustValidation(attack="normal_pursuit(budget=50)", epsilon=EPSILON, images=2000)
"""The measurement of the networks, on validation images, since it serves to choose a way."""


@dataclass(frozen=True)
class Way:
    """A way to train.

    Attributes:
        objective: The objective, a YAML value; `{later}` is the first epoch of the last third.
        cost: Passes of its attack for each image and epoch, on average.
    """

    objective: str
    cost: int

    def epochs(self, passes: int) -> int:
        """Return the number of epochs that cost about this many passes."""
        return max(1, round(passes / (self.cost + 1)))


_COLD = "ddn(max_norm=2.4, steps={steps}, initial_norm=2.0, gamma={gamma})"
_WARM = "ddn(max_norm=2.4, steps={steps}, initial_norm=5.0, gamma={gamma}, warm_start=True)"
_PURSUIT = (
    "closest(max_norm=2.4, attack='normal_pursuit(budget={budget}, drop_finished=False)', "
    "warm_start={warm})"
)
_FEW, _MANY = _WARM.format(steps=5, gamma=0.15), _COLD.format(steps=20, gamma=0.1)

WAYS = {
    "ddn, 20 steps": Way(_MANY, 20),
    "ddn, 8 steps": Way(_COLD.format(steps=8, gamma=0.25), 8),
    "ddn, 5 steps, warm": Way(_FEW, 5),
    "ddn, 2 steps, warm": Way(_WARM.format(steps=2, gamma=0.25), 2),
    "ddn, 5 steps, warm, then 20": Way(
        "{{1: '" + _FEW + "', {later}: '" + _MANY + "'}}",
        10,  # a third of the epochs has 20 steps
    ),
    "normal pursuit, 20": Way(_PURSUIT.format(budget=20, warm=False), 20),
    "normal pursuit, 8, warm": Way(_PURSUIT.format(budget=8, warm=True), 8),
    "madry, 5 steps, warm": Way("madry(epsilon=2.0, steps=5, warm_start=True)", 5),
    "madry, 20 steps": Way("madry(epsilon=2.0, steps=20)", 20),
}
"""The ways, by their names in the table."""

AVERAGED = 12
"""Weights are averaged over about a twelfth of all updates, as in the recipe. With the decay of the
recipe, a short training would keep much of the network that it starts from."""

PASSES = (33, 99)
"""The numbers of passes."""


def trained(name: str, way: Way, passes: int) -> dict[str, Any]:
    """Train a network in one way, and measure it."""
    epochs = way.epochs(passes)
    updates = epochs * (IMAGES // load_recipe(RECIPE).batch_size)
    recipe = load_recipe(
        RECIPE,
        [
            f"data=mnist/train[:{IMAGES}]",
            f"epochs={epochs}",
            "schedule={name: cosine, warmup: 0.5}",  # in proportion to the epochs
            f"ema={1 - AVERAGED / updates}",
            "objective=" + way.objective.format(later=epochs - max(1, epochs // 3) + 1),
        ],
    ).model_copy(update={"robust_validation": IN_TRAINING})
    key = {
        "recipe": recipe.model_dump(mode="json"),
        "validation": VALIDATION.model_dump(mode="json"),
    }
    out = Path("runs/cheaper_training") / f"{name}, {epochs} epochs"
    file = out / "measured.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    if {**found, **key} != found:
        print(f"{name}: {epochs} epochs", flush=True)
        card = train(recipe, out, resume=True)  # refuses the folder of another recipe
        network = load_model(str(out / f"{recipe.name}.safetensors"))
        data = load_data(recipe.validation)
        found = {
            **key,
            "epochs": epochs,
            "forwards_per_image": card.forwards_per_image,
            "gradients_per_image": card.gradients_per_image,
            "accuracy": accuracy(network, data),
            "robust_accuracy": robust_accuracy(network, data, VALIDATION),
            "sessions": card.sessions,
        }
        text = json.dumps(found)
        write_atomically(file, lambda path: path.write_text(text))
    return {"way": name, **found, "passes": passes_of(found)}


def passes_of(found: dict[str, Any]) -> float:
    """Return the cost of an image, in forward and backward passes."""
    forwards, backwards = found["forwards_per_image"], found["gradients_per_image"]
    spent: float = FORWARD_COST * forwards + (1 - FORWARD_COST) * backwards + found["epochs"]
    return spent


def tables(rows: list[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# Robustness against gradients spent in training",
        "",
        f"The MNIST network without a defense, trained on {IMAGES:,} images with the recipe",
        "`mnist-cnn-ddn`, with another objective and another number of epochs. Gradients of the",
        f"attack for each image, and passes: a forward pass counts {FORWARD_COST:g}, a backward "
        f"pass {1 - FORWARD_COST:g},",
        "an update 1. Accuracy on the 5,000 validation images, and under attack within L2 "
        f"{EPSILON:g} on",
        f"the first {VALIDATION.images:,} (95 % interval: plus or minus 2 points). One seed each.",
        "",
        "| way | epochs | gradients | passes | accuracy % | under attack % |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['way']} | {row['epochs']} | {row['gradients_per_image']:.0f} | "
        f"{row['passes']:.0f} | {100 * row['accuracy']:.2f} | {100 * row['robust_accuracy']:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def figure(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw the accuracy under attack against the cost."""
    drawing, panel = plt.subplots(figsize=(5, 3.6))
    for way in dict.fromkeys(row["way"] for row in rows):
        points = [row for row in rows if row["way"] == way]
        spent = [row["passes"] for row in points]
        panel.plot(spent, [row["robust_accuracy"] for row in points], marker="o", label=way)
    panel.set(xlabel="gradients and updates for each image", ylabel=f"accuracy within {EPSILON:g}")
    save_figure(drawing, panel, file)


def main() -> None:
    """Train, measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    session = provenance.describe(torch.device("cpu"))
    rows = [trained(name, WAYS[name], passes) for name in options.ways for passes in PASSES]
    text = tables(rows)
    print(text)
    write(options.json, {"rows": rows, **session}, text)
    if options.json is not None:
        figure(rows, options.json.with_suffix(".svg"))


if __name__ == "__main__":
    main()
