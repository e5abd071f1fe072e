"""How robust a network becomes for which number of gradients: what makes training cheaper.

    python benchmarks/cheaper_training.py [--ways "2 steps, warm" ...] [--json FILE]

Each way trains the MNIST network by the recipe `mnist-cnn-ddn` on 10,000 images, for two numbers of
epochs. A pass is forward and backward, for a gradient of the attack or an update of the weights.
The runs are kept in runs/cheaper_training, and what is there is not computed again. A table and a
figure go beside the JSON file.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib import pyplot as plt

from minnorm import load_data, load_model, runtime
from minnorm.attacks._normal_pursuit import FORWARD_COST
from minnorm.files import write_whole
from minnorm.training import (
    RobustValidation,
    accuracy,
    load_recipe,
    robust_accuracy,
    train,
)
from output import save_figure, write

RECIPE = "mnist-cnn-ddn"
"""What the ways have in common."""

IMAGES = 10_000
"""How many training images there are."""

EPSILON = 2.0
"""The L2 radius of the accuracy under attack."""

IN_TRAINING = RobustValidation(epsilon=EPSILON, images=200)
"""What chooses the best epoch: a little of it, since it costs as much as the training does."""

VALIDATION = RobustValidation(attack="normal_pursuit(budget=50)", epsilon=EPSILON, images=2000)
"""What the networks are measured with: on validation images, since ways are chosen by it."""


@dataclass(frozen=True)
class Way:
    """A way to train.

    Attributes:
        objective: The loss, a YAML value; `{later}` is the epoch from which a third is left.
        cost: Passes of its attack for each image and epoch, on the mean.
    """

    objective: str
    cost: int

    def epochs(self, passes: int) -> int:
        """Gives how many epochs cost about so many passes."""
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
        10,  # a third of the epochs has 20
    ),
    "normal pursuit, 20": Way(_PURSUIT.format(budget=20, warm=False), 20),
    "normal pursuit, 8, warm": Way(_PURSUIT.format(budget=8, warm=True), 8),
    "madry, 5 steps, warm": Way("madry(epsilon=2.0, steps=5, warm_start=True)", 5),
    "madry, 20 steps": Way("madry(epsilon=2.0, steps=20)", 20),
}
"""The ways, by their names in the table."""

AVERAGED = 12
"""Weights are averaged over about a twelfth of all updates, as in the recipe: by the decay there a
short training would keep much of the network that it began with."""

PASSES = (33, 99)
"""How many passes they have."""


def trained(name: str, way: Way, passes: int) -> dict[str, Any]:
    """Trains a network in one way and measures it."""
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
        card = train(recipe, out, resume=True)  # which refuses the folder of another recipe
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
        write_whole(file, lambda path: path.write_text(text))
    return {"way": name, **found, "passes": passes_of(found)}


def passes_of(found: dict[str, Any]) -> float:
    """Gives what was spent on an image, in passes forward and backward."""
    forwards, backwards = found["forwards_per_image"], found["gradients_per_image"]
    spent: float = FORWARD_COST * forwards + (1 - FORWARD_COST) * backwards + found["epochs"]
    return spent


def tables(rows: list[dict[str, Any]]) -> str:
    """Writes the results as Markdown."""
    lines = [
        "# Robustness against gradients spent in training",
        "",
        f"The MNIST network, from the one without a defense, on {IMAGES:,} images, by the recipe",
        "`mnist-cnn-ddn` apart from the objective and the epochs. Gradients that the attack took",
        f"for each image, and passes: forward counts {FORWARD_COST:g}, backward "
        f"{1 - FORWARD_COST:g}, an update 1.",
        f"Measured on the 5,000 validation images, under attack within L2 {EPSILON:g} on the first",
        f"{VALIDATION.images:,}, where a 95 % interval is 2 points to either side; one seed each.",
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
    """Draws the accuracy under attack over what was spent."""
    drawing, panel = plt.subplots(figsize=(5, 3.6))
    for way in dict.fromkeys(row["way"] for row in rows):
        points = [row for row in rows if row["way"] == way]
        spent = [row["passes"] for row in points]
        panel.plot(spent, [row["robust_accuracy"] for row in points], marker="o", label=way)
    panel.set(xlabel="gradients and updates for each image", ylabel=f"accuracy within {EPSILON:g}")
    save_figure(drawing, panel, file)


def main() -> None:
    """Trains, measures, prints, and writes the result with what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    provenance = runtime.provenance(torch.device("cpu"))
    rows = [trained(name, WAYS[name], passes) for name in options.ways for passes in PASSES]
    text = tables(rows)
    print(text)
    write(options.json, {"rows": rows, **provenance}, text)
    if options.json is not None:
        figure(rows, options.json.with_suffix(".svg"))


if __name__ == "__main__":
    main()
