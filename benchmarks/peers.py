"""Attacks side by side with those of other libraries, on the same network, images and budget.

    make peers            sets up benchmarks/.venv and runs this
    python benchmarks/peers.py [--network zoo:mnist-cnn] [--data mnist-sample[:200]] [--runs 3]
                               [--only NAME ...] [--json FILE]

Every result is judged here and not by whom it comes from: predicted again, measured again. Times
are taken in turn (ours, then each peer, then ours again), and their medians are compared. Each run
has another seed, so that success and distances, which are over all runs, hang on no lucky draw.
"""

import argparse
import importlib.metadata
import json
import logging
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from libraries import LIBRARIES, Found, of_adv_lib, of_foolbox, of_ours, of_torchattacks
from minnorm import attacks, load_data, load_model, runtime
from minnorm.geometry import Norm, distances
from output import write


@dataclass(frozen=True)
class Contest:
    """One attack, ours and the peers' with the same hyper-parameters.

    Attributes:
        norm: The norm of the distances.
        ours: Our attack.
        peers: The peers', by the library's name.
        within: The radius, for attacks that have one: success is what counts, not the distance.
    """

    norm: Norm
    ours: Found
    peers: dict[str, Found]
    within: float | None = None


def contests(radius_l2: float, radius_linf: float, step_size: float) -> dict[str, Contest]:
    """Gives the contests; the radii and the step size are for the attacks that have one."""
    inf = float("inf")
    # The first radius of attacks that bisect it: a peer finds nothing beyond twice that.
    largest = 1.0 if radius_l2 < 1 else 4.0
    step_l2, step_linf = 2.5 * radius_l2 / 40, 2.5 * radius_linf / 40
    return {
        "ddn, 100 steps": Contest(
            "l2",
            of_ours(attacks.ddn, steps=100),
            {
                "adv-lib": of_adv_lib("ddn", steps=100, levels=None),
                "foolbox": of_foolbox("DDNAttack", steps=100),
            },
        ),
        "fmn, 100 steps": Contest(
            "l2",
            of_ours(attacks.fmn, steps=100),
            {
                "adv-lib": of_adv_lib("fmn", norm=2, steps=100),
                "foolbox": of_foolbox("L2FMNAttack", steps=100),
            },
        ),
        "fmn linf, 100 steps": Contest(
            "linf",
            of_ours(attacks.fmn, norm="linf", steps=100),
            {
                "adv-lib": of_adv_lib("fmn", norm=inf, steps=100),
                "foolbox": of_foolbox("LInfFMNAttack", steps=100),
            },
        ),
        "carlini_wagner, 4 x 100": Contest(
            "l2",
            of_ours(
                attacks.carlini_wagner,
                searches=4,
                steps=100,
                step_size=step_size,
                initial_constant=1.0,
            ),
            {
                "adv-lib": of_adv_lib(
                    "carlini_wagner_l2",
                    binary_search_steps=4,
                    max_iterations=100,
                    learning_rate=step_size,
                    initial_const=1.0,
                ),
                "foolbox": of_foolbox(
                    "L2CarliniWagnerAttack",
                    binary_search_steps=4,
                    steps=100,
                    stepsize=step_size,
                    initial_const=1.0,
                ),
                # It does not search for the constant, so it gets one, and all steps for it.
                "torchattacks": of_torchattacks("CW", c=10, steps=400, lr=step_size),
            },
        ),
        "alma, 300 steps": Contest(
            "l2",
            of_ours(attacks.alma, steps=300, step_size=step_size),
            {"adv-lib": of_adv_lib("alma", num_steps=300, lr_init=step_size)},
        ),
        "pdgd, 200 steps": Contest(
            "l2",
            of_ours(attacks.pdgd, steps=200, step_size=step_size),
            {"adv-lib": of_adv_lib("pdgd", num_steps=200, primal_lr=step_size)},
        ),
        "deepfool": Contest(
            "l2",
            of_ours(attacks.deepfool),
            {
                "adv-lib": of_adv_lib("df", steps=50),
                "foolbox": of_foolbox("L2DeepFoolAttack"),
                "torchattacks": of_torchattacks("DeepFool"),
            },
        ),
        "deepfool linf": Contest(
            "linf",
            of_ours(attacks.deepfool, norm="linf"),
            {
                "adv-lib": of_adv_lib("df", steps=50, norm=inf),
                "foolbox": of_foolbox("LinfDeepFoolAttack"),
            },
        ),
        "superdeepfool": Contest(
            "l2",
            of_ours(attacks.superdeepfool),
            {"adv-lib": of_adv_lib("sdf", steps=50, df_steps=50)},
        ),
        "fab one by one, 10 steps": Contest(
            "l2",
            of_ours(attacks.fab, steps=10, one_by_one=True),
            # That of torchattacks leaves out the samples for which an earlier class was reached.
            {"adv-lib": of_adv_lib("fab", norm=2, n_iter=10, targeted_restarts=True)},
        ),
        "fab, 20 steps": Contest(
            "l2",
            of_ours(attacks.fab, steps=20),
            {
                "adv-lib": of_adv_lib("fab", norm=2, n_iter=20),
                "torchattacks": of_torchattacks("FAB", norm="L2", eps=1e3, steps=20),
            },
        ),
        "fab linf, 20 steps": Contest(
            "linf",
            of_ours(attacks.fab, norm="linf", steps=20),
            {
                "adv-lib": of_adv_lib("fab", norm=inf, n_iter=20),
                "torchattacks": of_torchattacks("FAB", norm="Linf", eps=1e3, steps=20),
            },
        ),
        "apgd_min_norm, 10 x 20": Contest(
            "l2",
            of_ours(attacks.apgd_min_norm, searches=10, steps=20, initial_norm=largest),
            {
                "adv-lib": of_adv_lib(
                    "minimal_apgd",
                    norm=2,
                    max_eps=largest,
                    binary_search_steps=10,
                    n_iter=20,
                    loss_function="ce",
                )
            },
        ),
        "apgd cross-entropy, 100 steps": Contest(
            "l2",
            of_ours(attacks.apgd, epsilon=radius_l2, steps=100),
            {
                "adv-lib": of_adv_lib(
                    "apgd", eps=radius_l2, norm=2, n_iter=100, loss_function="ce"
                ),
                "torchattacks": of_torchattacks("APGD", norm="L2", eps=radius_l2, steps=100),
            },
            within=radius_l2,
        ),
        "apgd dlr linf, 100 steps": Contest(
            "linf",
            of_ours(attacks.apgd, epsilon=radius_linf, steps=100, norm="linf", loss="dlr"),
            {
                "adv-lib": of_adv_lib(
                    "apgd", eps=radius_linf, norm=inf, n_iter=100, loss_function="dlr"
                ),
                "torchattacks": of_torchattacks(
                    "APGD", norm="Linf", eps=radius_linf, steps=100, loss="dlr"
                ),
            },
            within=radius_linf,
        ),
        "apgd targeted dlr, 20 steps": Contest(
            "l2",
            of_ours(attacks.apgd, epsilon=radius_l2, steps=20, loss="targeted-dlr"),
            {
                "adv-lib": of_adv_lib(
                    "apgd_targeted", eps=radius_l2, norm=2, n_iter=20, loss_function="dlr"
                ),
                "torchattacks": of_torchattacks("APGDT", norm="L2", eps=radius_l2, steps=20),
            },
            within=radius_l2,
        ),
        "pgd, 40 steps": Contest(
            "l2",
            of_ours(attacks.pgd, epsilon=radius_l2, steps=40),
            {
                "foolbox": of_foolbox("L2PGD", radius=radius_l2, steps=40, abs_stepsize=step_l2),
                "torchattacks": of_torchattacks("PGDL2", eps=radius_l2, alpha=step_l2, steps=40),
            },
            within=radius_l2,
        ),
        "pgd linf, 40 steps": Contest(
            "linf",
            of_ours(attacks.pgd, epsilon=radius_linf, steps=40, norm="linf"),
            {
                "adv-lib": of_adv_lib(
                    "pgd_linf", ε=radius_linf, steps=40, absolute_step_size=step_linf
                ),
                "foolbox": of_foolbox(
                    "LinfPGD", radius=radius_linf, steps=40, abs_stepsize=step_linf
                ),
                "torchattacks": of_torchattacks("PGD", eps=radius_linf, alpha=step_linf, steps=40),
            },
            within=radius_linf,
        ),
        "fgsm": Contest(
            "l2",
            of_ours(attacks.fgsm, epsilon=radius_l2),
            {"foolbox": of_foolbox("L2FastGradientAttack", radius=radius_l2)},
            within=radius_l2,
        ),
        "fgsm linf": Contest(
            "linf",
            of_ours(attacks.fgsm, epsilon=radius_linf, norm="linf"),
            {
                "foolbox": of_foolbox("LinfFastGradientAttack", radius=radius_linf),
                "torchattacks": of_torchattacks("FGSM", eps=radius_linf),
            },
            within=radius_linf,
        ),
    }


def judge(
    model: nn.Module, points: Tensor, inputs: Tensor, labels: Tensor, contest: Contest
) -> Tensor:
    """Gives the distance of each point, infinite where it is not what was asked for."""
    with torch.no_grad():
        wrong = model(points).argmax(1) != labels
    lengths = distances(points, inputs, contest.norm)
    wrong &= (points >= 0).flatten(1).all(1) & (points <= 1).flatten(1).all(1)
    if contest.within is not None:
        wrong &= lengths <= contest.within * (1 + 1e-4)
    return lengths.where(wrong, torch.inf)


def summary(lengths: Tensor, ours: Tensor) -> dict[str, float]:
    """Gives success in per cent, mean and median distance, and our mean over this one.

    Over all runs. Means are over what was found, so that the one who finds the easy ones only has
    the smallest: ours over theirs is over what both have found. Failures are infinitely far for the
    median.
    """
    found, both = lengths.isfinite(), lengths.isfinite() & ours.isfinite()
    return {
        "success": 100 * float(found.float().mean()),
        "mean": float(lengths[found].mean()),
        "median": float(lengths.median()),
        "ours_over_this": float(ours[both].mean() / lengths[both].mean()),
    }


class Counter:
    """Counts the gradients of a model, whoever computes them."""

    def __init__(self) -> None:
        self.gradients = 0

    def __call__(self, _model: nn.Module, _inputs: object, logits: Tensor) -> None:
        """Watches one forward pass; registered as a hook."""
        if logits.requires_grad:
            logits.register_hook(self._count)  # type: ignore[no-untyped-call]

    def _count(self, gradients: Tensor) -> None:
        self.gradients += len(gradients)


def run_contest(
    contest: Contest, model: nn.Module, inputs: Tensor, labels: Tensor, runs: int
) -> dict[str, dict[str, float]]:
    """Runs ours and each peer in turn, and gives what each found, spent and took."""
    sides: dict[str, Found] = {"minnorm": contest.ours, **contest.peers}
    times: dict[str, list[float]] = {name: [] for name in sides}
    lengths: dict[str, list[Tensor]] = {name: [] for name in sides}
    counters = {name: Counter() for name in sides}
    for seed in range(runs):
        # Each goes first as often as last, so that a machine that slows down favours nobody.
        for name, side in list(sides.items())[:: -1 if seed % 2 else 1]:
            torch.manual_seed(seed)
            hook = model.register_forward_hook(counters[name])
            started = time.perf_counter()
            points = side(model, inputs.clone(), labels.clone(), seed)
            times[name].append(time.perf_counter() - started)
            hook.remove()
            lengths[name].append(judge(model, points, inputs, labels, contest))
    ours = torch.cat(lengths["minnorm"])
    return {
        name: {
            **summary(torch.cat(lengths[name]), ours),
            "gradients": counters[name].gradients / (runs * len(inputs)),
            "seconds": statistics.median(times[name]),
        }
        for name in sides
    }


HEAD = """\
| attack | | success % | mean | median | our mean over it | gradients | seconds | over fastest |
|---|---|---|---|---|---|---|---|---|"""


def lines(name: str, rows: dict[str, dict[str, float]]) -> str:
    """Gives the rows of one contest as lines of a Markdown table."""
    fastest = min(row["seconds"] for side, row in rows.items() if side != "minnorm")
    return "\n".join(
        f"| {name if side == 'minnorm' else ''} | {side} | {row['success']:.1f} | "
        f"{row['mean']:.4f} | {row['median']:.4f} | {row['ours_over_this']:.3f} | "
        f"{row['gradients']:.1f} | {row['seconds']:.2f} | "
        f"{row['seconds'] / fastest:.2f} |"
        for side, row in rows.items()
    )


def main() -> None:
    """Runs the contests, prints a table, and writes the result with what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="zoo:mnist-cnn")
    parser.add_argument("--data", default="mnist-sample[:200]")
    parser.add_argument("--radius-l2", type=float, default=1.5)
    parser.add_argument("--radius-linf", type=float, default=0.15)
    parser.add_argument("--step-size", type=float, default=0.1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--json", type=Path, help="where to write it; the table goes beside it")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    # Taken first: the revision is that of the code that is measured, not of later changes.
    provenance = runtime.provenance(torch.device("cpu"))
    provenance["versions"] |= {name: importlib.metadata.version(name) for name in LIBRARIES}
    model = load_model(options.network)
    data = load_data(options.data)
    inputs, labels = data.batch(range(len(data)))
    inputs = inputs.contiguous()  # torchattacks needs it
    title = (
        f"{options.network}, {options.data}, radii {options.radius_l2} (L2) and "
        f"{options.radius_linf} (Linf), runs: {options.runs}, "
        f"{torch.get_num_threads()} CPU threads"
    )
    print(f"{title}\n\n{HEAD}", flush=True)
    # The first passes are slower than all others: they are nobody's.
    attacks.ddn(model, inputs, labels, steps=3)
    configuration = {k: v for k, v in vars(options).items() if k not in ("json", "only")}
    measured = kept(options.json, configuration, provenance)
    for name, contest in contests(
        options.radius_l2, options.radius_linf, options.step_size
    ).items():
        if options.only is not None and not any(name.startswith(word) for word in options.only):
            continue
        if name not in measured:
            measured[name] = run_contest(contest, model, inputs, labels, options.runs)
        print(lines(name, measured[name]), flush=True)
        result = {"configuration": configuration, "measured": measured, **provenance}
        table = "\n".join(lines(name, rows) for name, rows in measured.items())
        write(options.json, result, f"{title}\n\n{HEAD}\n{table}\n")


def kept(
    file: Path | None, configuration: dict[str, Any], provenance: dict[str, Any]
) -> dict[str, dict[str, dict[str, float]]]:
    """Gives the contests that an earlier call measured with the same settings and code."""
    if file is None or not file.exists():
        return {}
    there = json.loads(file.read_text())
    same = all(
        there.get(name) == now
        for name, now in [
            ("configuration", configuration),
            ("revision", provenance["revision"]),
            ("versions", provenance["versions"]),
        ]
    )
    if not same:
        return {}
    measured: dict[str, dict[str, dict[str, float]]] = there["measured"]
    for rows in measured.values():
        for row in rows.values():
            row.update({name: float("inf") for name, value in row.items() if value is None})
    return measured


if __name__ == "__main__":
    main()
