"""Norm against queries: attacks that only read the predicted class, ours and others.

    python benchmarks/decisions.py [--networks mnist-cnn ...] [--attacks decision_pursuit ...]
                                   [--budget 20000] [--budget-one-by-one 5000] [--json FILE]

Decision pursuit plans with its budget, so it runs once for each number of queries. The others run
once, with the largest one. The model counts the queries of each sample, keeps the closest
adversarial that it has answered, whatever the attack returns, and ends the attack after the last
query. The other libraries attack one image after the other, so that no image waits for another one.
Images that are misclassified from the start count with a norm of 0, those without an adversarial
with an infinite one. Beside them: `minnorm.attack` with gradients and a budget of 1,000. Finished
attacks and images in runs/decisions are kept: after a change of an attack, delete its files. Tables
and a figure go beside the JSON file, which keeps the networks that are not measured again.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import minnorm
from decisions_figure import draw
from minnorm import load_data, load_model
from minnorm.attacks import decision_pursuit, hop_skip_jump
from minnorm.geometry import distances
from minnorm.runtime import provenance
from output import write

NETWORKS = {
    "mnist-cnn": ("zoo:mnist-cnn", "mnist[:50]"),
    "cifar10-cnn": ("zoo:cifar10-cnn", "cifar10[:50]"),
    "cifar10-cnn-ddn": ("zoo:cifar10-cnn-ddn", "cifar10[:50]"),
    "efficientnet-lite0": ("networks:efficientnet_lite0", "networks:photos"),
}
"""The networks and their images, by name."""

MARKS = (250, 1000, 5000, 20_000)
"""The numbers of queries at which the norms are compared."""

RUNS = Path("runs/decisions")


class OutOfQueries(Exception):  # noqa: N818 - the attack has used its budget: not an error
    """A sample has no query left."""


class Watched(nn.Module):
    """A model that counts queries, and keeps the norm of the closest adversarial of each sample.

    Args:
        model: The classifier.
        inputs: The images under attack. A batch of another size belongs to the first one alone.
        labels: Their labels.
        budget: The number of queries of a sample.
    """

    def __init__(self, model: nn.Module, inputs: Tensor, labels: Tensor, budget: int) -> None:
        super().__init__()
        self.model, self.inputs, self.labels, self.budget = model, inputs, labels, budget
        self.queries = 0
        self.closest = torch.full((len(inputs),), torch.inf)
        self.curve: dict[int, list[float]] = {}

    def forward(self, points: Tensor) -> Tensor:
        """Return the logits of points, one for each sample, or several for a single one."""
        points = points.detach().to(self.inputs.dtype)  # ART passes float64
        with torch.no_grad():
            logits: Tensor = self.model(points)
        if len(self.inputs) == 1:
            for point, row in zip(points, logits, strict=True):
                self._count(point[None], row[None])
        else:
            assert len(points) == len(self.inputs)
            self._count(points, logits)
        return logits

    def _count(self, points: Tensor, logits: Tensor) -> None:
        if self.queries >= self.budget:
            raise OutOfQueries
        self.queries += 1
        inside = ((points >= 0) & (points <= 1)).flatten(1).all(1)
        wrong = (logits.argmax(1) != self.labels) & inside
        lengths = distances(points, self.inputs).where(wrong, torch.inf)
        self.closest = torch.minimum(self.closest, lengths)
        if self.queries in MARKS:
            self.curve[self.queries] = self.closest.tolist()

    def ended(self) -> dict[int, list[float]]:
        """Return the norms at each mark; those after the last query are those of the last one."""
        return {
            mark: self.curve.get(mark, self.closest.tolist())
            for mark in MARKS
            if mark <= self.budget
        }


Attack = Callable[[nn.Module, Tensor, Tensor, int], object]


def ours(attack: Any) -> Attack:
    """Return an attack of this package in the form of the others."""
    return lambda model, inputs, labels, budget: attack(model, inputs, labels, budget=budget)


def of_foolbox(name: str, **settings: Any) -> Attack:
    """Return an attack of foolbox, with more steps than it has queries."""

    def run(model: nn.Module, inputs: Tensor, labels: Tensor, budget: int) -> object:
        import foolbox

        attack = getattr(foolbox.attacks, name)(steps=budget, **settings)
        return attack(foolbox.PyTorchModel(model, bounds=(0, 1)), inputs, labels, epsilons=None)

    return run


def of_art(model: nn.Module, inputs: Tensor, labels: Tensor, budget: int) -> object:
    """Run HopSkipJump of ART, with more iterations than it has queries."""
    from art.attacks.evasion import HopSkipJump
    from art.estimators.classification import PyTorchClassifier

    with torch.no_grad():
        classes = model.model(inputs).shape[1]  # type: ignore[operator]
    classifier = PyTorchClassifier(
        model, nn.CrossEntropyLoss(), tuple(inputs.shape[1:]), classes, clip_values=(0.0, 1.0)
    )
    # ART predicts the input itself once more than necessary; its counts start before that.
    attack = HopSkipJump(classifier, max_iter=budget, verbose=False)
    return attack.generate(x=inputs.numpy(), y=labels.numpy())


TOGETHER: dict[str, Attack] = {
    "decision_pursuit": ours(decision_pursuit),
}
"""Attacks that run on all samples together, once for each number of queries."""

ONE_BY_ONE: dict[str, Attack] = {
    "hop_skip_jump": ours(hop_skip_jump),
    "foolbox HopSkipJump": of_foolbox("HopSkipJumpAttack"),
    "foolbox Boundary": of_foolbox("BoundaryAttack"),
    "ART HopSkipJump": of_art,
}
"""Attacks that run on one image after the other."""

ATTACKS = {**TOGETHER, **ONE_BY_ONE}


def watched(
    attack: Attack, model: nn.Module, inputs: Tensor, labels: Tensor, budget: int
) -> dict[int, list[float]]:
    """Run an attack, and return the norms of all samples at each mark."""
    watch = Watched(model, inputs, labels, budget).eval()
    torch.manual_seed(0)
    try:
        attack(watch, inputs, labels, budget)
    except OutOfQueries:
        pass
    except Exception as error:  # an attack of another library that fails keeps what it has found
        print(f"ended after {watch.queries} queries: {error!r}"[:200], flush=True)
    return watch.ended()


def part(
    file: Path, name: str, model: nn.Module, samples: tuple[Tensor, Tensor], budget: int
) -> dict[int, list[float]]:
    """Return the norms of samples at each mark; finished ones are read from the file."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        found = watched(ATTACKS[name], model, *samples, budget)
        file.write_text(json.dumps(found), encoding="utf-8")
    read = json.loads(file.read_text(encoding="utf-8"))
    return {int(mark): norms for mark, norms in read.items()}


def measure(network: str, name: str, budget: int) -> dict[str, Any]:
    """Return the norms of an attack on a network at each mark; finished ones are read."""
    file = RUNS / network / f"{name.replace(' ', '-')}-{budget}.json"
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    print(f"{network}: {name}", flush=True)
    model_spec, data_spec = NETWORKS[network]
    model, data = load_model(model_spec), load_data(data_spec)
    inputs, labels = data.batch(range(len(data)))
    with torch.no_grad():
        right = model(inputs).argmax(1) == labels
    x, y = inputs[right].contiguous(), labels[right]
    started = time.perf_counter()
    if name == "gradients":
        lengths = minnorm.attack(model, x, y, budget=1000).distances.tolist()
        curve = {mark: lengths for mark in MARKS if mark <= budget}
    elif name in TOGETHER:
        budgets = [mark for mark in MARKS if mark <= budget]
        curve = {
            mark: part(file.with_suffix(f".{mark}.json"), name, model, (x, y), mark)[mark]
            for mark in budgets
        }
    else:
        singles = [
            part(file.with_suffix(f".{place}.json"), name, model, (x[[place]], y[[place]]), budget)
            for place in range(len(x))
        ]
        curve = {mark: [one[mark][0] for one in singles] for mark in singles[0]}
    zeros = [0.0] * int((~right).sum())
    result = {
        "norms": {str(mark): [*zeros, *norms] for mark, norms in curve.items()},
        "seconds": time.perf_counter() - started,
        "revision": provenance.describe(torch.device("cpu"))["revision"],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result), encoding="utf-8")
    return result


def row(found: dict[str, Any]) -> dict[str, Any]:
    """Return the median and the mean norm at each mark, and the share that is found."""
    norms = {int(mark): torch.tensor(values) for mark, values in found["norms"].items()}
    return {
        "median": {mark: float(values.median()) for mark, values in norms.items()},
        "mean": {mark: float(values.mean()) for mark, values in norms.items()},
        "found": {mark: float(values.isfinite().float().mean()) for mark, values in norms.items()},
        "seconds": found["seconds"],
        "revision": found["revision"],
    }


def cell(line: dict[str, Any], mark: int) -> str:
    """Return the median at a mark, and the mean, or the share that is found if it is not all."""
    found = line["found"][mark]
    rest = f"{line['mean'][mark]:.3f}" if found == 1 else f"{found:.0%} found"
    return f"{line['median'][mark]:.3f} ({rest})"


def tables(measured: dict[str, dict[str, Any]]) -> str:
    """Return the results as Markdown: the median norms, with the means in parentheses."""
    parts = []
    for network, rows in measured.items():
        marks = sorted({mark for line in rows.values() for mark in line["median"]})
        parts += [
            f"## {network}, {NETWORKS[network][1]}",
            "",
            "Median L2 norm (mean) at each number of queries.",
            "",
            "| attack | " + " | ".join(f"{mark:,}" for mark in marks) + " |",
            "|---|" + "--:|" * len(marks),
        ]
        for name, line in rows.items():
            if name == "gradients":
                continue
            cells = (cell(line, mark) if mark in line["median"] else "" for mark in marks)
            parts.append(f"| {name} | " + " | ".join(cells) + " |")
        if "gradients" in rows:
            best = rows["gradients"]
            parts += [
                "",
                f"With gradients, at a budget of 1,000: {best['median'][marks[0]]:.3f} "
                f"({best['mean'][marks[0]]:.3f}).",
            ]
        parts.append("")
    return "\n".join(parts)


def kept(file: Path | None) -> dict[str, dict[str, Any]]:
    """Return the rows of the networks in an earlier result."""
    if file is None or not file.exists():
        return {}
    measured = json.loads(file.read_text(encoding="utf-8"))["measured"]
    by_mark = ("median", "mean", "found")
    return {
        network: {
            name: {
                key: {int(mark): value for mark, value in values.items()}
                if key in by_mark
                else values
                for key, values in line.items()
            }
            for name, line in rows.items()
        }
        for network, rows in measured.items()
    }


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--attacks", nargs="*", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--budget", type=int, default=MARKS[-1])
    parser.add_argument(
        "--budget-one-by-one",
        type=int,
        help="the budget of attacks that run image by image, and take much longer "
        "(default: the same)",
    )
    parser.add_argument("--json", type=Path, help="the file of the result; the tables go beside it")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    session = provenance.describe(torch.device("cpu"))
    measured = kept(options.json)
    for network in options.networks:
        measured[network] = {}
        for name in ("gradients", *options.attacks):
            slow = name in ONE_BY_ONE and options.budget_one_by_one is not None
            budget = options.budget_one_by_one if slow else options.budget
            measured[network][name] = row(measure(network, name, budget))
            measured = {name: measured[name] for name in NETWORKS if name in measured}
            write(options.json, {"measured": measured, **session}, tables(measured))
            if options.json is not None:
                draw(measured, options.json.with_suffix(".svg"))
        print(tables({network: measured[network]}), flush=True)


if __name__ == "__main__":
    main()
