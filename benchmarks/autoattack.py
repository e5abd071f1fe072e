"""AutoAttack, ours and the one of torchattacks, beside `minnorm.attack` with a budget of 100.

    python benchmarks/autoattack.py [--only CASE ...] [--json FILE]

Robust accuracy at one radius, and the passes that each side takes. Every result is predicted and
measured again here. `torchattacks` runs with its own settings, 10 steps of APGD and FAB, and with
the 100 of the standard suite.
"""

import argparse
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from floor import Passes
from libraries import ContiguousGradients, Run, of_ours
from minnorm import attack, attacks, load_data, load_model
from minnorm.geometry import Norm
from minnorm.runtime import provenance
from output import write
from square import THEIR_NORMS, found


class Case(NamedTuple):
    """A network, images and a ball."""

    network: str
    data: str
    norm: Norm
    epsilon: float


CASES = {
    f"{case.network.removeprefix('zoo:')} {case.norm}": case
    for case in (
        Case("zoo:mnist-cnn-ddn", "mnist[:30]", "l2", 2.0),
        Case("zoo:cifar10-cnn-ddn", "cifar10[:20]", "l2", 0.5),
        Case("zoo:mnist-cnn-ddn", "mnist[:30]", "linf", 0.15),
        Case("zoo:cifar10-cnn-ddn", "cifar10[:20]", "linf", 4 / 255),
    )
}

SIDES = ("autoattack", "minnorm.attack(budget=100)", "torchattacks", "torchattacks, 100 steps")


def of_torchattacks(norm: Norm, epsilon: float, steps: int | None) -> Run:
    """Return a run of the AutoAttack of torchattacks; its parts have no parameter for the steps."""
    import torchattacks

    def run(model: nn.Module, inputs: Tensor, labels: Tensor, seed: int) -> Tensor:
        wrapped = ContiguousGradients(model)
        suite = torchattacks.AutoAttack(wrapped, norm=THEIR_NORMS[norm], eps=epsilon, seed=seed)
        for part in suite._autoattack.attacks:
            if steps is not None and hasattr(part, "steps"):
                part.steps = steps
        points: Tensor = suite(inputs, labels)
        return points.detach()

    return run


def side_of(name: str, case: Case) -> Run:
    """Return a run of one side."""
    if name == "autoattack":
        return of_ours(attacks.autoattack, epsilon=case.epsilon, norm=case.norm)
    if name.startswith("minnorm"):
        default: Callable[..., Any] = attack
        return of_ours(default, budget=100, norm=case.norm)
    return of_torchattacks(case.norm, case.epsilon, 100 if "100" in name else None)


def measure(case: Case, name: str) -> dict[str, Any]:
    """Return the robust accuracy under one side, and the passes of a sample."""
    model, data = load_model(case.network), load_data(case.data)
    inputs, labels = data.batch(range(len(data)))
    side, passes = side_of(name, case), Passes()
    hook = model.register_forward_hook(passes)
    points = side(model, inputs.clone(), labels.clone(), 0)
    hook.remove()
    hit = found(model, points, inputs, labels, (case.norm, case.epsilon))
    number = len(inputs)
    return {
        "images": number,
        "robust": number - int(hit.sum()),
        "forwards": passes.forwards / number,
        "backwards": passes.backwards / number,
    }


def table(measured: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# AutoAttack beside a minimum-norm attack",
        "",
        "Robust accuracy at one radius in percent, and the mean passes of an image, forward and",
        "backward. `minnorm.attack` finds the accuracy at every radius in the same run; the others",
        "at this one alone. torchattacks takes 10 steps of APGD and FAB, the standard suite 100.",
        "",
        "| network | norm | radius | images | attack | robust % | forwards | backwards |",
        "|---|---|--:|--:|---|--:|--:|--:|",
    ]
    for name, sides in measured.items():
        case = CASES[name]
        for side, one in sides.items():
            cells = [
                f"`{case.network}`", case.norm, f"{case.epsilon:.4g}", str(one["images"]), side,
                f"{100 * one['robust'] / one['images']:.0f}", f"{one['forwards']:,.0f}",
                f"{one['backwards']:,.0f}",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    session = provenance.describe(torch.device("cpu"))
    session["versions"]["torchattacks"] = importlib.metadata.version("torchattacks")
    measured: dict[str, Any] = {}
    if options.json is not None and options.json.exists():
        measured = json.loads(options.json.read_text())["measured"]  # kept from an earlier call
    for name in options.only:
        for side in SIDES:
            if side in measured.setdefault(name, {}):
                continue
            print(name, side, flush=True)
            measured[name][side] = {**measure(CASES[name], side), **session}
            write(options.json, {"measured": measured}, table(measured))
    print(table(measured))


if __name__ == "__main__":
    main()
