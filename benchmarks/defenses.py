"""How robust the trained networks are: tables 5 and 6 of the paper, for the zoo's networks.

    python benchmarks/defenses.py [--data mnist] [--networks mnist-cnn ...] [--json FILE]

Several attacks run on each network. `all` takes the closest adversarial over them, `the paper's
three` over those of the paper's tables. A second table shows what these missed: more steps,
restarts, and the directions of adversarials of another network. The records of each attack on each
network are kept in results/defenses for as long as the weights are the same: after a change of an
attack, delete its records. Each row names the revision and the processor of its run. Unfinished
runs are in runs/defenses. A table and a figure go beside the JSON file.
"""

import argparse
import json
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from matplotlib import pyplot as plt
from torch import Tensor

from minnorm import evaluate, load_data, load_model
from minnorm.attacks import normal_pursuit
from minnorm.evaluation import (
    Records,
    accuracy_at,
    clean_accuracy,
    closest_records,
    robustness_curve,
    summarize,
)
from minnorm.evaluation.records import join_records
from minnorm.files import write_atomically
from minnorm.geometry import distances
from minnorm.models.zoo import zoo_cards
from minnorm.runtime import provenance
from output import save_figure, write

KEPT = Path(__file__).parent / "results" / "defenses"
"""The folder of the records."""

SHARES = (0.25, 0.5, 0.75, 0.9, 0.99)
"""The distances tried along the directions of another network, in shares of the distance found."""


@dataclass(frozen=True)
class Experiment:
    """The measurements on the networks of a data set.

    Attributes:
        networks: Names in the zoo; the first has no defense.
        images: The number of test images that are attacked.
        epsilons: The L2 radii of the accuracies in the tables.
        attacks: The attacks, as specs by their names in the tables.
        checked: The number of images for which the second table looks for closer adversarials.
        more: The attacks that look for them.
    """

    networks: tuple[str, ...]
    images: int
    epsilons: tuple[float, ...]
    attacks: dict[str, str]
    checked: int
    more: dict[str, str]


_PAPERS = {
    "C&W 9x1,000": "carlini_wagner(searches=9, steps=1000)",
    "DeepFool 100": "deepfool(steps=100)",
    "DDN 1,000": "ddn(steps=1000)",
}
_ATTACKS = {**_PAPERS, "minnorm.attack 1,000": "normal_pursuit(budget=1000)"}
_MORE = {
    "DDN 5,000": "ddn(steps=5000)",
    "5 restarts of minnorm.attack 1,000": (
        "with_restarts(attack='normal_pursuit(budget=1000)', restarts=5)"
    ),
}

EXPERIMENTS = {
    "mnist": Experiment(
        networks=(
            "mnist-cnn",
            "mnist-cnn-fgsm",
            "mnist-cnn-madry-linf",
            "mnist-cnn-madry-l2",
            "mnist-cnn-ddn",
            "mnist-cnn-normal-pursuit",
        ),
        images=1000,
        epsilons=(0.5, 1.0, 1.5, 2.0, 2.5),
        attacks=_ATTACKS,
        checked=100,
        more=_MORE,
    ),
    "cifar10": Experiment(
        networks=("cifar10-cnn", "cifar10-cnn-madry-l2", "cifar10-cnn-ddn"),
        images=1000,
        epsilons=(0.25, 0.5, 1.0),
        attacks=_ATTACKS,
        checked=100,
        more=_MORE,
    ),
}
"""The experiments by their data."""


def attacked(network: str, data: str, spec: str) -> Records:
    """Return the records of an attack on a network: those that are kept, or new ones."""
    weights = zoo_cards()[network].sha256
    stem = re.sub(r"[^a-z0-9]+", "-", f"{network} {data} {spec}".lower()).strip("-")
    file = KEPT / f"{stem}.parquet"
    if file.exists():
        kept = pq.read_table(file)
        about = {name.decode(): value.decode() for name, value in kept.schema.metadata.items()}
        if about["weights"] == weights:
            return kept
    print(f"{network}, {data}: {spec}", flush=True)
    out = Path("runs/defenses") / f"{stem}-{weights[:8]}"
    run = evaluate(f"zoo:{network}", data, spec, out=out, save_adversarials=False)
    about = {"weights": weights, "manifest": json.dumps(run.manifest)}
    records = run.records.replace_schema_metadata(about)
    KEPT.mkdir(exist_ok=True)
    write_atomically(file, partial(pq.write_table, records))
    return records


def ran_with(records: Records) -> dict[str, list[str]]:
    """Return the revisions of the code and the processors of a run."""
    sessions = json.loads(records.schema.metadata[b"manifest"])["sessions"]
    processors = [
        session["hardware"].get("gpu", session["hardware"]["processor"]) for session in sessions
    ]
    return {
        "revisions": list(dict.fromkeys(session["revision"] for session in sessions)),
        "processors": list(dict.fromkeys(processors)),
    }


def row(records: Records, name: str, epsilons: tuple[float, ...]) -> dict[str, Any]:
    """Return a row of the table: what one attack, or all of them, found."""
    found = summarize(records, name, over="all")
    return {
        "attack": name,
        "success": found.success.value,
        "mean": found.mean.value,
        "median": found.median.value,
        "accuracy_at": {str(epsilon): accuracy_at(records, epsilon).value for epsilon in epsilons},
        "gradients": found.backwards,
    }


def norms(records: Records) -> Tensor:
    """Return the L2 distance of each sample, infinite for failures."""
    return torch.as_tensor(records["l2"].to_numpy().copy())


def missed(network: str, others: list[str], data: str, closest: Records) -> dict[str, Any]:
    """Count the images for which something finds an adversarial that is closer by over 1 %."""
    experiment = EXPERIMENTS[data]
    reached = norms(closest)[: experiment.checked]
    found: dict[str, Any] = {}
    for name, spec in experiment.more.items():
        more = norms(attacked(network, f"{data}[:{experiment.checked}]", spec))
        found[name] = {
            "closer": int((more < 0.99 * reached).sum()),
            "mean": float(torch.minimum(more, reached).mean()),
        }
    model = load_model(f"zoo:{network}")
    inputs, labels = load_data(data).batch(range(experiment.checked))
    for other in others:
        attack = partial(normal_pursuit, budget=100)
        points = attack(load_model(f"zoo:{other}"), inputs, labels).adversarials
        found[f"from {other}"] = {
            "closer": transferred(model, inputs, labels, points, reached.float())
        }
    return {"images": experiment.checked, "mean": float(reached.mean()), "found": found}


@torch.no_grad()
def transferred(model: Any, inputs: Tensor, labels: Tensor, points: Tensor, reached: Tensor) -> int:
    """Count the images with a closer adversarial in the direction of another network."""
    directions = points - inputs
    # For an image without an adversarial: up to a corner of the box.
    corners = torch.maximum(inputs, 1 - inputs).flatten(1).norm(dim=1)
    reached = torch.minimum(reached, corners)
    lengths = distances(points, inputs).clamp_min(1e-12)
    wrong = torch.zeros(len(inputs), dtype=torch.bool)
    for share in SHARES:
        factors = (share * reached / lengths).view(-1, 1, 1, 1)
        moved = (inputs + factors * directions).clamp(0, 1)
        wrong |= model(moved).argmax(1) != labels
    return int((wrong & (reached > 0)).sum())


def measure(data: str, networks: list[str]) -> dict[str, Any]:
    """Evaluate networks of a data set."""
    experiment, cards = EXPERIMENTS[data], zoo_cards()
    measured: dict[str, Any] = {}
    for name in networks:
        card = cards[name]
        part = f"{data}[:{experiment.images}]"
        by_attack = {
            attack: attacked(name, part, spec) for attack, spec in experiment.attacks.items()
        }
        papers = closest_records(join_records([by_attack[attack] for attack in _PAPERS]))
        closest = closest_records(join_records(list(by_attack.values())))
        radii, accuracy = robustness_curve(closest)
        measured[name] = {
            "clean": clean_accuracy(closest).value,
            "clean_all": card.accuracy[data],
            "objective": card.recipe["objective"],
            "initial": card.recipe["initial"],
            "epochs": card.recipe["epochs"],
            "gradients_per_image": card.gradients_per_image,
            "rows": [
                *(
                    {**row(found, attack, experiment.epsilons), **ran_with(found)}
                    for attack, found in by_attack.items()
                ),
                row(papers, "the paper's three", experiment.epsilons),
                row(closest, "all", experiment.epsilons),
            ],
            "curve": {"radii": radii.tolist(), "accuracy": accuracy.tolist()},
            "missed": missed(name, [other for other in networks if other != name], data, closest),
        }
    return measured


def tables(data: str, measured: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    experiment = EXPERIMENTS[data]
    radii = [f"{epsilon:g}" for epsilon in experiment.epsilons]
    lines = [
        f"# Defenses, {data}, the first {experiment.images:,} test images",
        "",
        "Accuracy on all test images, epochs of training, and gradients of its attacks for each",
        "image; success, mean L2 norm of the successes, median with infinite failures, and",
        "accuracy at radii. A misclassified image is a success at distance 0.",
        "",
        f"| network | attack | success % | mean | median | {' | '.join(radii)} |",
        "|---|---|---|---|---|" + "---|" * len(radii),
    ]
    for name, network in measured.items():
        spent = network["gradients_per_image"]
        about = f"{name}: {100 * network['clean_all']:.2f} %, {network['epochs']} epochs"
        about += "" if network["initial"] is None else f" from {network['initial']}"
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
        f"## What the evaluation missed, the first {experiment.checked} images",
        "",
        "Images for which something else finds an adversarial that is closer by more than 1 %, and",
        "the mean over all attacks (with infinite failures) including it. `from`: along the",
        "directions of the adversarials of another network, at 25 to 99 % of the distance that the",
        "evaluation found.",
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
    """Draw the accuracy at every radius under all attacks."""
    drawing, panel = plt.subplots(figsize=(5, 3.6))
    for name, network in measured.items():
        curve = network["curve"]
        panel.step(curve["radii"], curve["accuracy"], where="post", label=name)
    panel.set(xlabel="L2 radius", ylabel="accuracy under attack", ylim=(0, 1))
    panel.set_xlim(left=0)
    save_figure(drawing, panel, file)


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist", choices=list(EXPERIMENTS))
    parser.add_argument("--networks", nargs="+", help="only these, by their names in the zoo")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    session = provenance.describe(torch.device("cpu"))
    networks = options.networks or list(EXPERIMENTS[options.data].networks)
    measured = measure(options.data, networks)
    text = tables(options.data, measured)
    print(text)
    result = {"attacks": EXPERIMENTS[options.data].attacks, "measured": measured, **session}
    write(options.json, result, text)
    if options.json is not None:
        figure(measured, options.json.with_suffix(".svg"))


if __name__ == "__main__":
    main()
