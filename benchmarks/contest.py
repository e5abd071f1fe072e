"""Attacks in separate processes, which take turns; all results are measured in the same way."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a process that waits sleeps

import torch
from torch import Tensor

from libraries import Run, of_adv_lib, of_foolbox
from minnorm import accelerate, attacks, ddn, load_data, load_model
from minnorm.geometry import distances


@dataclass(frozen=True)
class Case:
    """DDN on one network with one batch.

    Attributes:
        model: The network's spec.
        data: The spec of the images, without a slice.
        batch: Images in the batch.
        steps: Steps of the attacks.
        least: The target: how many times as fast as the fastest peer.
    """

    model: str
    data: str
    batch: int
    steps: int
    least: float


Attack = Callable[[Any, Tensor, Tensor], Tensor]


def ours(attack: Callable[..., attacks.AttackResult], **settings: Any) -> Attack:
    """Return one of our attacks as a function that returns points."""
    return lambda model, inputs, labels: attack(model, inputs, labels, **settings).adversarials


def seeded(attack: Run) -> Attack:
    """Return an attack of a peer with a fixed seed."""
    return lambda model, inputs, labels: attack(model, inputs, labels, 0)


def contestant(name: str, setting: int) -> Attack:
    """Return an attack by its name, with its number of steps, or its budget."""
    adv_lib: dict[str, tuple[str, dict[str, Any]]] = {
        "adv-lib ddn": ("ddn", {"steps": setting, "levels": None}),
        "adv-lib fmn": ("fmn", {"norm": 2, "steps": setting}),
        "adv-lib alma": ("alma", {"num_steps": setting}),
        "adv-lib pdgd": ("pdgd", {"num_steps": setting}),
        "adv-lib apgd": (
            "minimal_apgd",
            {"norm": 2, "max_eps": 8, "binary_search_steps": 13, "n_iter": setting // 13},
        ),
    }
    if name in adv_lib:
        function, settings = adv_lib[name]
        return seeded(of_adv_lib(function, **settings))
    if name == "foolbox ddn":
        return seeded(of_foolbox("DDNAttack", steps=setting))
    if name == "ddn":
        return ours(ddn, steps=setting)
    if name == "normal_pursuit":
        return ours(attacks.normal_pursuit, budget=setting)
    if name in ("coarse gradients", "exact gradients"):
        return partial(bare_passes, coarse=name.startswith("coarse"), steps=setting)
    raise ValueError(f"{name}: unknown.")


def bare_passes(model: Any, inputs: Tensor, labels: Tensor, *, coarse: bool, steps: int) -> Tensor:
    """Compute the gradients with respect to the inputs and nothing else, and return the inputs."""
    classifier = (model.coarse or model.exact) if coarse else model.exact
    for _ in range(steps):
        variables = inputs.detach().requires_grad_()
        logits = classifier(variables)
        torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), variables)
    return inputs


class Process:
    """A process that holds a network and images, and runs attacks on demand.

    Args:
        case: The network and the images.
        use: The acceleration of the network; `off` for the peers.
    """

    def __init__(self, case: Case, use: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, case, use), daemon=True)
        self._process.start()
        self.used, self.notes, self.seconds = self._pipe.recv()

    def run(self, name: str, setting: int) -> dict[str, Any]:
        """Run an attack, and return its seconds, success, mean distance and distances."""
        self._pipe.send((name, setting))
        found: dict[str, Any] = self._pipe.recv()
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, case: Case, use: str) -> None:
    model = load_model(case.model).requires_grad_(False)
    data = load_data(case.data)
    inputs, labels = data.batch(range(case.batch))
    started = time.perf_counter()
    prepared = accelerate(model, inputs, use)
    given = model if use == "off" else prepared
    pipe.send((prepared.used, prepared.notes, time.perf_counter() - started))
    while True:
        name, setting = pipe.recv()
        passes = name.endswith("gradients")
        attack = contestant(name, setting)
        torch.manual_seed(0)
        started = time.perf_counter()
        points = attack(prepared if passes else given, inputs, labels)
        seconds = time.perf_counter() - started
        with torch.no_grad():
            hit = model(points).argmax(1) != labels
        far = distances(points, inputs)
        pipe.send(
            {
                "seconds": seconds,
                "success": float(hit.float().mean()),
                "mean": float(far[hit].mean()),
                "distances": far.where(hit, torch.inf).tolist(),
            }
        )


def in_turn(runs: int, calls: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, Any]:
    """Make all calls in turn, `runs` times; each call comes first as often as the others."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in calls}
    names = list(calls)
    for run in range(runs):
        shift = run % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(calls[name]())
    return {
        name: {
            "seconds": statistics.median(one["seconds"] for one in results),
            "least": min(one["seconds"] for one in results),
            "most": max(one["seconds"] for one in results),
            "success": results[0]["success"],
            "mean": results[0]["mean"],
            "distances": results[0]["distances"],
        }
        for name, results in found.items()
    }
