"""What each part of normal pursuit is worth: runs without one part at a time.

    python benchmarks/ablation.py [--networks mnist-cnn ...] [--budgets 30 100 300] [--json FILE]

What a part would have cost is spent on more steps of the last round, so all variants at one budget
cost about the same; the tables show the measured cost. The images are those of
`benchmarks/anytime.py`. docs/normal-pursuit.md describes the parts.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from minnorm import evaluate, geometry, load_data, load_model
from minnorm.attacks import normal_pursuit
from minnorm.attacks.engine.rays import Pursuit, Ray
from minnorm.attacks.engine.tournaments import FORWARD_COST, Tournament, plan
from minnorm.evaluation import summarize
from minnorm.runtime import provenance
from networks import NETWORKS
from output import write

BUDGETS = (30, 100, 300)
"""The budgets, in gradients."""

MODULE = "minnorm.attacks.gradient.normal_pursuit"
"""The module whose constants and functions are replaced."""

Plan = Callable[..., list[Tournament]]


def filled(tournament: Tournament, budget: float, step: float = 1 + FORWARD_COST) -> Tournament:
    """Return a tournament whose last round spends what is left of the budget."""
    size, number = tournament.rounds[-1]
    more = int((budget - tournament.cost(step)) / (step * size))
    return replace(tournament, rounds=(*tournament.rounds[:-1], (size, max(number + more, 1))))


def each(change: Callable[[Tournament], Tournament], step: float = 1 + FORWARD_COST) -> Plan:
    """Return a plan that changes each tournament, and spends what that saves."""

    def changed(budget: float, **known: Any) -> list[Tournament]:
        whole = plan(budget, **known)
        return [filled(change(one), budget / len(whole), step) for one in whole]

    return changed


def no_restarts(budget: float, **known: Any) -> list[Tournament]:
    """Return one long tournament."""
    whole = plan(budget, **known)
    return whole if len(whole) == 1 else [filled(whole[0], budget)]


def no_fixed_classes(budget: float, **known: Any) -> list[Tournament]:
    """Return tournaments that all have the rays of the first one."""
    whole = plan(budget, **known)
    return [whole[0]] * len(whole)


PLANS: dict[str, Plan] = {
    "rays to several classes": each(
        lambda one: replace(one, points=1, classes=1, fixed_class=False, rounds=((1, 1),))
    ),
    "rays from several points": each(
        lambda one: replace(one, points=1, classes=one.points * one.classes)
    ),
    "rounds": each(lambda one: replace(one, rounds=((1, 1),))),
    "the correction after each step": each(lambda one: one, step=1),
    "probes at the end": each(lambda one: replace(one, probes=0)),
    "restarts": no_restarts,
    "the tournament of rays with fixed classes": no_fixed_classes,
}
"""The plans without a part."""


def not_corrected(_: Pursuit, ray: Ray, *_slopes_and_rivals: Any) -> Ray:
    """Return the ray with the length of the linear model."""
    return ray


TURNED = Pursuit.turned


def clipped(pursuit: Pursuit, ray: Ray, share: float, *, fixed_class: bool = False) -> Ray:
    """Turn the perturbation, clipped to the bounds, instead of the ray."""
    moves = pursuit.search.problem.perturbations(pursuit.points(ray))
    directions = geometry.unit(moves, fallback=ray.directions[0])
    ray = ray._replace(directions=directions, lengths=geometry.norms(moves))
    return TURNED(pursuit, ray, share, fixed_class=fixed_class)


@contextmanager
def without(part: str) -> Iterator[None]:
    """Run the attack without a part."""
    with ExitStack() as stack:
        if part in PLANS:
            stack.enter_context(patch(f"{MODULE}.plan", PLANS[part]))
        if part == "the correction after each step":
            stack.enter_context(patch.object(Pursuit, "_corrected", not_corrected))
        if part == "a falling share":
            stack.enter_context(patch(f"{MODULE}._LAST_SHARES", (1.0, 1.0)))
        if part == "a share below 1 in the early rounds":
            stack.enter_context(patch(f"{MODULE}._EARLY_SHARE", 1.0))
        if part == "rays beyond the bounds":
            stack.enter_context(patch.object(Pursuit, "turned", clipped))
        yield


PARTS = (
    "nothing",
    *PLANS,
    "a falling share",
    "a share below 1 in the early rounds",
    "rays beyond the bounds",
)
"""The parts that are left out, one at a time."""


def measure(name: str, budgets: list[int]) -> list[dict[str, Any]]:
    """Run all variants on a network."""
    model_spec, data_spec = NETWORKS[name]
    model, data = load_model(model_spec), load_data(data_spec)
    rows = []
    for budget in budgets:
        for part in PARTS:
            if part in PLANS and PLANS[part](budget) == plan(budget):
                continue  # the attack has no such part at this budget
            attack = partial(normal_pursuit, budget=budget, drop_finished=False)
            with without(part):
                records = evaluate(model, data, attack, batch_size=100, accelerate="off").records
            found = summarize(records, part, over="all")
            row = {
                "budget": budget,
                "without": part,
                "cost": FORWARD_COST * found.forwards + (1 - FORWARD_COST) * found.backwards,
                "success": found.success.value,
                "mean": found.mean.value,
            }
            rows.append(row)
            print(f"{name}: {row}", flush=True)
    return rows


def cell(rows: dict[str, dict[str, Any]], part: str) -> str:
    """Return the mean without a part over that of the whole attack, and the cost."""
    mean, whole = rows[part]["mean"], rows["nothing"]["mean"]
    text = f"mean {mean:.4f}" if part == "nothing" else f"{mean / whole:.4f}"
    return f"{text} ({rows[part]['cost']:.0f})"


def tables(measured: dict[str, list[dict[str, Any]]]) -> str:
    """Return the results as Markdown: for each budget the means over that of the whole attack."""
    parts = []
    budgets = sorted({row["budget"] for rows in measured.values() for row in rows})
    for budget in budgets:
        parts += [
            f"## Budget {budget}",
            "",
            "| without | " + " | ".join(f"{name} (cost)" for name in measured) + " |",
            "|---|" + "---|" * len(measured),
        ]
        found = {
            name: {row["without"]: row for row in rows if row["budget"] == budget}
            for name, rows in measured.items()
        }
        for part in PARTS:
            cells = [cell(rows, part) for rows in found.values() if part in rows]
            if cells:
                parts.append(f"| {part} | " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--budgets", nargs="*", type=int, default=list(BUDGETS))
    parser.add_argument("--json", type=Path, help="the file of the result; the tables go beside it")
    options = parser.parse_args()
    session = provenance.describe(torch.device("cpu"))
    measured = {name: measure(name, options.budgets) for name in options.networks}
    print(tables(measured))
    write(options.json, {"measured": measured, **session}, tables(measured))


if __name__ == "__main__":
    main()
