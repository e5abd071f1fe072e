"""How robust the trained networks are: tables 5 and 6 of the paper, for the zoo's networks.

    python benchmarks/defenses.py [--data mnist] [--images 1000] [--json FILE]

Each network is attacked by C&W, DeepFool, DDN and our attack; `all` is the worst case over them. A
second table looks for what these missed: more steps, restarts, and the directions in which another
network errs. The runs are kept in runs/defenses, and what is there is not computed again; a table
and a figure go beside the JSON file.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib import pyplot as plt
from torch import Tensor

from minnorm import evaluate, load_data, load_model, runtime
from minnorm.attacks import normal_pursuit
from minnorm.evaluation import (
    Records,
    accuracy_at,
    clean_accuracy,
    of_attack,
    robustness_curve,
    summarize,
    worst_case,
)
from minnorm.evaluation.records import join_records
from minnorm.geometry import distances
from minnorm.models.zoo import zoo_cards
from output import write

NETWORKS = {
    "mnist": (
        "mnist-cnn",
        "mnist-cnn-fgsm",
        "mnist-cnn-madry-linf",
        "mnist-cnn-madry-l2",
        "mnist-cnn-ddn",
    ),
    "cifar10": ("cifar10-cnn", "cifar10-cnn-madry-l2", "cifar10-cnn-ddn"),
}
"""Names in the zoo, by the data: without a defense first."""

EPSILONS = {"mnist": (1.0, 1.5, 2.0, 2.5), "cifar10": (0.25, 0.5, 1.0)}
"""L2 radii at which the accuracy is given."""

ATTACKS = {
    "C&W 9x1,000": "carlini_wagner(searches=9, steps=1000)",
    "DeepFool 100": "deepfool(steps=100)",
    "DDN 1,000": "ddn(steps=1000)",
    "minnorm.attack 1,000": "normal_pursuit(budget=1000)",
}
"""What the networks are evaluated with."""

MORE = {
    "DDN 5,000": "ddn(steps=5000)",
    "5 restarts of minnorm.attack 1,000": (
        "with_restarts(attack='normal_pursuit(budget=1000)', restarts=5)"
    ),
}
"""What looks for what they missed, on the first images only."""

CHECKED = 200
"""The first images, on which that is looked for."""


def attacked(network: str, data: str, specs: list[str]) -> Records:
    """Gives the records of attacks, one after the other, each in a run of its own."""
    parts = []
    for spec in specs:
        print(f"{network}, {data}: {spec}", flush=True)
        folder = Path("runs/defenses") / f"{network} {data} {spec}".replace("/", "-")
        run = evaluate(f"zoo:{network}", data, spec, out=folder, save_adversarials=False)
        parts.append(run.records)
    return join_records(parts)


def row(records: Records, name: str, epsilons: tuple[float, ...]) -> dict[str, Any]:
    """Gives a line of the table: what one attack, or all of them, found."""
    found = summarize(records, name)
    return {
        "attack": name,
        "success": found.success.value,
        "mean": found.mean.value,
        "median": found.median.value,
        "accuracy_at": {str(epsilon): accuracy_at(records, epsilon).value for epsilon in epsilons},
        "gradients": found.backwards,
    }


def missed(network: str, others: list[str], data: str, worst: Records) -> dict[str, Any]:
    """Counts the images for which something finds a closer adversarial, by more than 1 %."""
    model = load_model(f"zoo:{network}")
    inputs, labels = load_data(data).batch(range(CHECKED))
    reached = torch.as_tensor(worst["l2"].to_numpy()[:CHECKED].copy()).float()
    found: dict[str, Any] = {}
    more = attacked(network, f"{data}[:{CHECKED}]", list(MORE.values()))
    for name, spec in MORE.items():
        records = of_attack(more, spec)
        closer = torch.as_tensor(records["l2"].to_numpy().copy()).float()
        found[name] = {
            "closer": int((closer < 0.99 * reached).sum()),
            "mean": summarize(worst_of(records, worst), "").mean.value,
        }
    attack = partial(normal_pursuit, budget=100)
    for other in others:
        points = attack(load_model(f"zoo:{other}"), inputs, labels).adversarials
        found[f"from {other}"] = {"closer": transferred(model, inputs, labels, points, reached)}
    return {"images": CHECKED, "mean": summarize(worst[:CHECKED], "").mean.value, "found": found}


def worst_of(records: Records, worst: Records) -> Records:
    """Gives the worst case of an attack and of what was found before."""
    before = worst[:CHECKED].set_column(
        worst.schema.get_field_index("attack"), "attack", [["before"] * CHECKED]
    )
    return worst_case(join_records([records, before.select(records.column_names)]))


@torch.no_grad()
def transferred(model: Any, inputs: Tensor, labels: Tensor, points: Tensor, reached: Tensor) -> int:
    """Counts the images that err in another network's direction, nearer than was reached."""
    directions = points - inputs
    norms = distances(points, inputs).clamp_min(1e-12)
    wrong = torch.zeros(len(inputs), dtype=torch.bool)
    for share in (0.25, 0.5, 0.75, 0.9, 0.99):
        factors = (share * reached.nan_to_num(posinf=0.0) / norms).view(-1, 1, 1, 1)
        moved = (inputs + factors * directions).clamp(0, 1)
        wrong |= model(moved).argmax(1) != labels
    return int((wrong & (reached > 0)).sum())


def measure(data: str, images: int) -> dict[str, Any]:
    """Evaluates the networks of a data set."""
    cards, part = zoo_cards(), f"{data}[:{images}]"
    names = [name for name in NETWORKS[data] if name in cards]
    measured: dict[str, Any] = {}
    for name in names:
        records = attacked(name, part, list(ATTACKS.values()))
        worst = worst_case(records)
        rows = [
            row(of_attack(records, spec), attack, EPSILONS[data])
            for attack, spec in ATTACKS.items()
        ]
        radii, accuracy = robustness_curve(worst)
        measured[name] = {
            "clean": clean_accuracy(worst).value,
            "clean_all": cards[name].accuracy[data],
            "gradients_per_image": cards[name].gradients_per_image,
            "rows": [*rows, row(worst, "all", EPSILONS[data])],
            "curve": {"radii": radii.tolist(), "accuracy": accuracy.tolist()},
            "missed": missed(name, [other for other in names if other != name], data, worst),
        }
    return measured


def tables(data: str, images: int, measured: dict[str, Any]) -> str:
    """Writes the results as Markdown."""
    radii = [f"{epsilon:g}" for epsilon in EPSILONS[data]]
    lines = [
        f"# Defenses, {data}, the first {images:,} test images",
        "",
        "Accuracy on all test images; gradients that training took for each image; success, mean",
        "and median L2 norm (failures infinite) and accuracy at radii.",
        "",
        f"| network | attack | success % | mean | median | {' | '.join(radii)} |",
        "|---|---|---|---|---|" + "---|" * len(radii),
    ]
    for name, network in measured.items():
        spent = network["gradients_per_image"]
        about = f"{name}: {100 * network['clean_all']:.2f} %"
        about += "" if spent is None else f", {spent:.0f} gradients"
        for line in network["rows"]:
            at = [f"{100 * value:.1f}" for value in line["accuracy_at"].values()]
            lines.append(
                f"| {about} | {line['attack']} | {100 * line['success']:.1f} | "
                f"{line['mean']:.4f} | {line['median']:.4f} | {' | '.join(at)} |"
            )
            about = ""
    lines += [
        "",
        f"## What the evaluation missed, the first {CHECKED} images",
        "",
        "Images for which something else finds an adversarial that is nearer by more than 1 %, and",
        "what the mean over all attacks becomes with it. `from`: along the directions in which",
        "another network errs, at a quarter to 99 % of the distance that the evaluation found.",
        "",
        "| network | with | images | mean before | mean after |",
        "|---|---|---|---|---|",
    ]
    for name, network in measured.items():
        before = network["missed"]["mean"]
        for other, found in network["missed"]["found"].items():
            after = f"{found['mean']:.4f}" if "mean" in found else ""
            lines.append(f"| {name} | {other} | {found['closer']} | {before:.4f} | {after} |")
    return "\n".join(lines) + "\n"


def figure(measured: dict[str, Any], file: Path) -> None:
    """Draws the accuracy at every radius, the worst case over the attacks."""
    drawing, panel = plt.subplots(figsize=(5, 3.6))
    for name, network in measured.items():
        curve = network["curve"]
        panel.step(curve["radii"], curve["accuracy"], where="post", label=name)
    panel.set(xlabel="L2 radius", ylabel="accuracy under attack", ylim=(0, 1))
    panel.set_xlim(left=0)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7)
    drawing.tight_layout()
    drawing.savefig(file)


def main() -> None:
    """Measures, prints, and writes the result with what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist", choices=list(NETWORKS))
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    provenance = runtime.provenance(torch.device("cpu"))
    measured = measure(options.data, options.images)
    text = tables(options.data, options.images, measured)
    print(text)
    result = {"images": options.images, "attacks": ATTACKS, "measured": measured, **provenance}
    write(options.json, result, text)
    if options.json is not None:
        figure(measured, options.json.with_suffix(".svg"))


if __name__ == "__main__":
    main()
