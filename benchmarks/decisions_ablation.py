"""Decision pursuit without one of its parts at a time.

python benchmarks/decisions_ablation.py [--networks mnist-cnn ...] [--budgets 1000 ...]
                                        [--images 30] [--json FILE]
"""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from decisions import NETWORKS
from minnorm import load_data, load_model
from minnorm.attacks import decision_pursuit
from minnorm.attacks.engine.queries import normals
from minnorm.attacks.engine.queries.bases import Basis, basis_of
from minnorm.attacks.engine.queries.beliefs import Belief, prior
from minnorm.attacks.engine.queries.images import images
from minnorm.attacks.engine.queries.quota import Quota
from minnorm.attacks.engine.search import Search
from minnorm.runtime import provenance
from output import write

MODULE = "minnorm.attacks.decision.decision_pursuit"
NORMALS = "minnorm.attacks.engine.queries.normals"
ROUNDS = "minnorm.attacks.engine.queries.rounds"

BUDGETS = (1000, 5000)
"""The budgets, in queries."""


def entries(inputs: Tensor) -> Basis:
    """Return the basis of the entries themselves, with one band."""
    sample = inputs.shape[1:]
    bands = torch.zeros(sample.numel(), dtype=torch.int64)
    return Basis(None, None, torch.zeros(sample), bands, 1)


def one_by_one(inputs: Tensor) -> Basis:
    """Return cosines in which colors have bands of their own, as they are."""
    basis = basis_of(inputs)
    return basis if basis.colors is None else replace(basis, colors=torch.eye(3))


def fixed_spectrum(seen: normals.Sighting, weights: Tensor) -> normals.Sighting:
    """Keep the spectrum that is expected before any probe."""
    return SPECTRUM(seen, torch.ones_like(weights))


def from_far(search: Search, basis: Basis) -> Iterator[Tensor]:
    """Yield white noise and the ends of the bounds only."""
    return images(search, replace(basis, frequencies=torch.zeros_like(basis.frequencies)))


def forgetful(*arguments: Any, **settings: Any) -> normals.Sighting:
    """Turn the line, and forget the normal, but not its spectrum."""
    seen = TURNED(*arguments, **settings)
    return replace(seen, belief=prior(seen.powers))


def from_the_prior(quota: Quota, belief: Belief) -> Tensor:
    """Draw directions from the belief, with their part along its mean."""
    return DRAWN(quota, belief._replace(means=torch.zeros_like(belief.means)))


TURNED, DRAWN, SPECTRUM = normals.turned, normals._drawn, normals._with_spectrum

WITHOUT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "what it knew before each move": {f"{ROUNDS}.turned": forgetful},
    "cosines and bands": {f"{MODULE}.basis_of": entries},
    "gray as a color": {f"{MODULE}.basis_of": one_by_one},
    "the tournament of first lines": {f"{ROUNDS}._ENTRANTS": 1},
    "starts of one octave, and blurred ones": {f"{MODULE}.images": from_far},
    "learning the spectrum": {f"{NORMALS}._with_spectrum": fixed_spectrum},
    "probes where both answers are equally likely": {f"{NORMALS}._FARTHEST": 0.0},
    "probes orthogonal to what is known": {f"{NORMALS}._drawn": from_the_prior},
}
"""What is replaced for each variant."""


@contextmanager
def without(part: str) -> Iterator[None]:
    """Run the attack without a part."""
    with ExitStack() as stack:
        for target, value in WITHOUT[part].items():
            stack.enter_context(patch(target, value))
        yield


def measure(network: str, budgets: list[int], images: int) -> list[dict[str, Any]]:
    """Run all variants on a network."""
    model_spec, data_spec = NETWORKS[network]
    model, data = load_model(model_spec), load_data(data_spec)
    inputs, labels = data.batch(range(min(images, len(data))))
    rows = []
    for budget in budgets:
        for part in WITHOUT:
            with without(part):
                found = decision_pursuit(model, inputs, labels, budget=budget).distances
            row = {
                "budget": budget,
                "without": part,
                "median": float(found.median()),
                "mean": float(found.mean()),
            }
            rows.append(row)
            print(f"{network}: {row}", flush=True)
    return rows


def tables(measured: dict[str, list[dict[str, Any]]]) -> str:
    """Return the median and the mean norm of each variant as Markdown."""
    parts = []
    for budget in sorted({row["budget"] for rows in measured.values() for row in rows}):
        parts += [
            f"## Budget {budget:,}: median (mean)",
            "",
            "| without | " + " | ".join(measured) + " |",
            "|---|" + "--:|" * len(measured),
        ]
        for part in WITHOUT:
            cells = [
                f"{row['median']:.3f} ({row['mean']:.3f})"
                for rows in measured.values()
                for row in rows
                if row["budget"] == budget and row["without"] == part
            ]
            parts.append(f"| {part} | " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--budgets", nargs="*", type=int, default=list(BUDGETS))
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--json", type=Path, help="the file of the result; the tables go beside it")
    options = parser.parse_args()
    session = provenance.describe(torch.device("cpu"))
    measured = {}
    for network in options.networks:
        measured[network] = measure(network, options.budgets, options.images)
        result = {"images": options.images, "measured": measured, **session}
        write(options.json, result, tables(measured))
    print(tables(measured))


if __name__ == "__main__":
    main()
