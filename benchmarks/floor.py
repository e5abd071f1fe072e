"""Overhead of the attacks: their time over the time of the model's passes alone.

    python benchmarks/floor.py [--attacks ddn ...] [--runs 5] [--json FILE]

The floor of an attack is the time that the bare model takes for as many forward and backward passes
as the attack makes, in a loop on the same batch, without acceleration. The passes are counted in a
run that is not timed. Floor and attack take turns, and the table shows the median of their ratios.
Only public names of the package are used, so that two revisions can be compared: run the same file
in a checkout of each. The CIFAR-10 images must be in the cache: `minnorm data fetch cifar10`.
"""

import argparse
import json
import os
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minnorm import load_data, load_model
from minnorm.attacks import ATTACKS

NETWORKS = {
    "zoo:mnist-cnn": ("mnist-sample", 100),
    "zoo:cifar10-cnn": ("cifar10", 20),
}
"""The networks, with the data and the number of images in the batch."""

SETTINGS: dict[str, dict[str, Any]] = {
    "alma": {"steps": 30},
    "apgd": {"epsilon": 0.3, "steps": 30},
    "apgd_min_norm": {"searches": 3, "steps": 10},
    "carlini_wagner": {"searches": 2, "steps": 15},
    "ddn": {"steps": 30},
    "deepfool": {"steps": 5},
    "fab": {"steps": 5},
    "fgsm": {"epsilon": 0.3},
    "fmn": {"steps": 30},
    "lbfgs": {"searches": 2, "steps": 3},
    "normal_pursuit": {"budget": 30},
    "pdgd": {"steps": 30},
    "pgd": {"epsilon": 0.3, "steps": 30},
    "superdeepfool": {"steps": 2},
}
"""Hyper-parameters with which an attack takes a few seconds; the defaults for other attacks."""

LOOPS = 10
"""The number of bare passes in one measurement of the floor."""


@dataclass
class Passes:
    """The passes of a model, in samples; a forward hook that counts them.

    Attributes:
        forwards: The number of samples in forward passes.
        backwards: The number of samples in backward passes.
    """

    forwards: int = 0
    backwards: int = 0

    def __call__(self, _model: nn.Module, _inputs: object, logits: Tensor) -> None:
        """Count a forward pass, and later the backward passes through it."""
        self.forwards += len(logits)
        if logits.requires_grad:
            logits.register_hook(self._count_backward)  # type: ignore[no-untyped-call]

    def _count_backward(self, gradients: Tensor) -> None:
        self.backwards += len(gradients)


def bare_seconds(model: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the seconds of a forward pass and of a backward pass, for one sample."""
    started = time.perf_counter()
    for _ in range(LOOPS):
        with torch.no_grad():
            model(inputs)
    between = time.perf_counter()
    for _ in range(LOOPS):
        variables = inputs.detach().requires_grad_()
        logits = model(variables)
        torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), variables)
    ended = time.perf_counter()
    forward = (between - started) / (LOOPS * len(inputs))
    return forward, (ended - between) / (LOOPS * len(inputs)) - forward


def measure(name: str, model: nn.Module, inputs: Tensor, labels: Tensor, runs: int) -> Any:
    """Measure an attack and its floor in turn, and return the medians."""
    attack, settings = ATTACKS[name], SETTINGS.get(name, {})
    passes = Passes()
    hook = model.register_forward_hook(passes)
    attack(model, inputs, labels, **settings)
    hook.remove()
    seconds, floors = [], []
    before = bare_seconds(model, inputs, labels)
    for _ in range(runs):
        started = time.perf_counter()
        attack(model, inputs, labels, **settings)
        seconds.append(time.perf_counter() - started)
        after = bare_seconds(model, inputs, labels)
        forward, backward = (sum(pair) / 2 for pair in zip(before, after, strict=True))
        floors.append(passes.forwards * forward + passes.backwards * backward)
        before = after
    ratios = [one / other for one, other in zip(seconds, floors, strict=True)]
    return {
        "forwards": passes.forwards / len(inputs),
        "backwards": passes.backwards / len(inputs),
        "seconds": statistics.median(seconds),
        "over_floor": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
    }


def processor() -> str:
    """Return the name of the processor, as exactly as the system knows it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    """Measure, print a table, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attacks", nargs="+", choices=sorted(ATTACKS), default=sorted(ATTACKS))
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(", ".join(f"{name}: {value}" for name, value in machine.items()))
    print("\n| network | attack | forwards | backwards | seconds | over floor | range |")
    print("|---|---|---|---|---|---|---|")
    measured: dict[str, dict[str, Any]] = {}
    for network in options.networks:
        data, count = NETWORKS[network]
        model = load_model(network)
        inputs, labels = load_data(f"{data}[:{count}]").batch(range(count))
        measured[network] = {}
        for name in options.attacks:
            row = measure(name, model, inputs, labels, options.runs)
            measured[network][name] = row
            print(
                f"| {network} | {name} | {row['forwards']:.1f} | {row['backwards']:.1f} | "
                f"{row['seconds']:.2f} | {row['over_floor']:.3f} | "
                f"{row['least']:.3f} to {row['most']:.3f} |",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": machine, "measured": measured}, indent=2))


if __name__ == "__main__":
    main()
