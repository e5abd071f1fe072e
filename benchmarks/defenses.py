"""How robust the trained networks are: tables 5 and 6 of the paper, for the zoo's networks.

    python benchmarks/defenses.py [--data mnist] [--networks mnist-cnn ...] [--json FILE]

Each network is attacked by several attacks; `all` is the worst case over them, `the paper's three`
that over those of the paper's tables. A second table looks for what these missed: more steps,
restarts, and the directions in which another network errs. The records of each attack on each
network are kept in results/defenses, and are not computed again for the same weights: after a
change of an attack delete its records. Each row names the revision that it was made with, and the
processor. What is under way is in runs/defenses. A table and a figure go beside the JSON file.
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

from minnorm import evaluate, load_data, load_model, runtime
from minnorm.attacks import normal_pursuit
from minnorm.evaluation import (
    Records,
    accuracy_at,
    clean_accuracy,
    robustness_curve,
    summarize,
    worst_case,
)
from minnorm.evaluation.records import join_records
from minnorm.files import write_whole
from minnorm.geometry import distances
from minnorm.models.zoo import zoo_cards
from output import save_figure, write

KEPT = Path(__file__).parent / "results" / "defenses"
"""Where the records are."""

SHARES = (0.25, 0.5, 0.75, 0.9, 0.99)
"""How far along another network's directions is looked, in shares of the distance found."""


@dataclass(frozen=True)
class Experiment:
    """What is measured on the networks of a data set.

    Attributes:
        networks: Names in the zoo, without a defense first.
        images: The first test images that the attacks are run on.
        epsilons: L2 radii at which the accuracy is given.
        attacks: What the networks are evaluated with, specs by the names in the tables.
        checked: The first images, on which is looked for what these missed.
        more: What looks for it.
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
"""By the data."""


def attacked(network: str, data: str, spec: str) -> Records:
    """Gives the records of an attack on a network: those that are kept, or new ones."""
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
    write_whole(file, partial(pq.write_table, records))
    return records


def ran_with(records: Records) -> dict[str, list[str]]:
    """Gives the revisions of the code, and the processors, that a run was made with."""
    sessions = json.loads(records.schema.metadata[b"manifest"])["sessions"]
    processors = [
        session["hardware"].get("gpu", session["hardware"]["processor"]) for session in sessions
    ]
    return {
        "revisions": list(dict.fromkeys(session["revision"] for session in sessions)),
        "processors": list(dict.fromkeys(processors)),
    }


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


def norms(records: Records) -> Tensor:
    """Gives the L2 distances, sample by sample, infinite for failures."""
    return torch.as_tensor(records["l2"].to_numpy().copy())


def missed(network: str, others: list[str], data: str, worst: Records) -> dict[str, Any]:
    """Counts the images for which something finds a closer adversarial, by more than 1 %."""
    experiment = EXPERIMENTS[data]
    reached = norms(worst)[: experiment.checked]
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
    """Counts the images that err in another network's direction, nearer than was reached."""
    directions = points - inputs
    # Where nothing was found, it is looked as far as a corner of the box.
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
    """Evaluates networks of a data set."""
    experiment, cards = EXPERIMENTS[data], zoo_cards()
    measured: dict[str, Any] = {}
    for name in networks:
        card = cards[name]
        part = f"{data}[:{experiment.images}]"
        by_attack = {
            attack: attacked(name, part, spec) for attack, spec in experiment.attacks.items()
        }
        papers = worst_case(join_records([by_attack[attack] for attack in _PAPERS]))
        worst = worst_case(join_records(list(by_attack.values())))
        radii, accuracy = robustness_curve(worst)
        measured[name] = {
            "clean": clean_accuracy(worst).value,
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
                row(worst, "all", experiment.epsilons),
            ],
            "curve": {"radii": radii.tolist(), "accuracy": accuracy.tolist()},
            "missed": missed(name, [other for other in networks if other != name], data, worst),
        }
    return measured


def tables(data: str, measured: dict[str, Any]) -> str:
    """Writes the results as Markdown."""
    experiment = EXPERIMENTS[data]
    radii = [f"{epsilon:g}" for epsilon in experiment.epsilons]
    lines = [
        f"# Defenses, {data}, the first {experiment.images:,} test images",
        "",
        "Accuracy on all test images; epochs of training, and gradients that its attacks took for",
        "each image; success, mean L2 norm of the successes, median with failures infinite, and",
        "accuracy at radii.",
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
        "Images for which something else finds an adversarial that is nearer by more than 1 %, and",
        "what the mean over all attacks (failures infinite) becomes with it. `from`: along the",
        "directions in which another network errs, at a quarter to 99 % of the distance that the",
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
    """Draws the accuracy at every radius, the worst case over the attacks."""
    drawing, panel = plt.subplots(figsize=(5, 3.6))
    for name, network in measured.items():
        curve = network["curve"]
        panel.step(curve["radii"], curve["accuracy"], where="post", label=name)
    panel.set(xlabel="L2 radius", ylabel="accuracy under attack", ylim=(0, 1))
    panel.set_xlim(left=0)
    save_figure(drawing, panel, file)


def main() -> None:
    """Measures, prints, and writes the result with what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="mnist", choices=list(EXPERIMENTS))
    parser.add_argument("--networks", nargs="+", help="only these, by their names in the zoo")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    provenance = runtime.provenance(torch.device("cpu"))
    networks = options.networks or list(EXPERIMENTS[options.data].networks)
    measured = measure(options.data, networks)
    text = tables(options.data, measured)
    print(text)
    result = {"attacks": EXPERIMENTS[options.data].attacks, "measured": measured, **provenance}
    write(options.json, result, text)
    if options.json is not None:
        figure(measured, options.json.with_suffix(".svg"))


if __name__ == "__main__":
    main()
