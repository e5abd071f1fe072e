"""Defenses that do not hold: what is measured without knowledge of the defense, and with it.

    python benchmarks/adaptive.py [--images 100] [--only NAME ...] [--peers] [--json FILE]

The defenses are those of docs/examples/broken_defenses.py, on its small network, which is trained
here in seconds. `plain` is what a user measures who does not know of the defense, with the kinds of
the warnings; `adaptive` uses the wrapper that the page docs/broken-defenses.md names. `--peers`
adds PGD of other libraries on the distilled network. Only that needs other libraries.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

import minnorm
from minnorm.attacks import pgd
from minnorm.evaluation import accuracy_at, clean_accuracy, median_distance
from minnorm.models import averaged, predict_only, straight_through
from minnorm.runtime import provenance
from output import write

sys.path.append(str(Path(__file__).parents[1] / "docs" / "examples"))
import broken_defenses as defenses  # type: ignore[import-not-found]

RADIUS = 2.0
PGD_STEPS = 40
DRAWS = 16
FEW = "normal_pursuit(budget=30)"  # of an average, where each gradient is one of all draws
FRESH_DRAWS = 100

Samples: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Measured:
    """What an attack measured of a model.

    Attributes:
        clean: The clean accuracy.
        accuracy: The accuracy within `RADIUS`.
        median: The median distance of the samples that are classified correctly.
        doubts: The kinds of the warnings.
    """

    clean: float
    accuracy: float
    median: float
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A defense, and how it is measured.

    Attributes:
        name: What the table calls it.
        plain: Measures it as a user does who does not know of the defense.
        adaptive: Measures it as its page says.
        wrapper: What the adaptive evaluation uses, in a few words.
    """

    name: str
    plain: Callable[[Samples], Measured]
    adaptive: Callable[[Samples], Measured]
    wrapper: str


def measured(samples: Samples, model: nn.Module, attack: Any = None) -> Measured:
    """Evaluate a model; by default with the best attack for what it offers."""
    run = minnorm.evaluate(model.eval(), samples, attack)
    return Measured(
        clean_accuracy(run.records).value,
        accuracy_at(run.records, RADIUS).value,
        median_distance(run.records).value,
        tuple(doubt.kind for doubt in run.doubts),
    )


def measured_at_random(samples: Samples, model: nn.Module) -> Measured:
    """Attack a random model as it is, and let it classify the adversarials again."""
    inputs, labels = samples
    with torch.random.fork_rng([]), torch.no_grad():
        torch.manual_seed(0)
        found = minnorm.attack(model.eval(), inputs, labels)
        wrong = _share_wrong(model, found.adversarials, labels)
        clean = _share_wrong(model, inputs, labels) < 0.5
    distances = found.distances.where(wrong >= 0.5, math.inf).where(clean, 0.0)
    return Measured(
        clean.float().mean().item(),
        (distances > RADIUS).float().mean().item(),
        distances[clean].quantile(0.5, interpolation="lower").item(),
        ("random",),
    )


def _share_wrong(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the share of draws in which each input is misclassified."""
    wrong = [model(inputs).argmax(1) != labels for _ in range(FRESH_DRAWS)]
    return torch.stack(wrong).float().mean(0)


@cache
def network() -> nn.Module:
    """Train the network that has no defense, once."""
    trained: nn.Module = defenses.trained(defenses.network)
    return trained


def in_front(name: str, step: nn.Module) -> Case:
    """Put a step without gradients in front of the network."""
    return Case(
        name,
        lambda samples: measured(samples, nn.Sequential(step, network())),
        lambda samples: measured(samples, nn.Sequential(straight_through(step), network())),
        "`straight_through(step)`",
    )


def at_random(name: str, *steps: nn.Module) -> Case:
    """Put random steps in front of the network."""

    def model() -> nn.Module:
        return nn.Sequential(*steps, network()).eval()

    return Case(
        name,
        lambda samples: measured_at_random(samples, model()),
        lambda samples: measured(samples, averaged(model(), draws=DRAWS), FEW),
        f"`averaged(model, draws={DRAWS})`",
    )


def hidden(name: str, outputs: Literal["probabilities", "classes"]) -> Case:
    """Hide the network behind a function from arrays to arrays."""

    def predict() -> Any:
        return defenses.service(network(), classes=outputs == "classes")

    return Case(
        name,
        lambda samples: measured(samples, defenses.Client(predict())),
        lambda samples: measured(samples, predict_only(predict(), outputs, classes=10)),
        f'`predict_only(predict, "{outputs}")`',
    )


def thermometer_code() -> Case:
    """Code the inputs of the network, which is trained on the code."""
    model = cache(defenses.thermometer)

    def adaptive(samples: Samples) -> Measured:
        code, coded = model()
        passed = straight_through(code, backward=code.smooth)
        return measured(samples, nn.Sequential(passed, coded))

    return Case(
        "thermometer code",
        lambda samples: measured(samples, model()),
        adaptive,
        "`straight_through(code, backward=smooth)`",
    )


def distillation() -> Case:
    """Train the network at a high temperature on the outputs of another one."""
    model = cache(defenses.distilled)
    textbook = partial(defenses.textbook_pgd, epsilon=RADIUS)
    return Case(
        "defensive distillation",
        lambda samples: measured(samples, model(), textbook),
        lambda samples: measured(samples, model()),
        "any attack on margins",
    )


CASES = (
    thermometer_code(),
    in_front("3 bits", defenses.BitDepth()),
    in_front("JPEG", defenses.Jpeg()),
    in_front("3 bits and JPEG", nn.Sequential(defenses.BitDepth(), defenses.Jpeg())),
    at_random("noise", defenses.Noise()),
    at_random("random resizing", defenses.RandomResize()),
    at_random("random resizing and noise", defenses.RandomResize(), defenses.Noise()),
    distillation(),
    hidden("probabilities only", "probabilities"),
    hidden("classes only", "classes"),
)
"""The defenses, in the order of the page."""


def peers(samples: Samples) -> dict[str, dict[str, float]]:
    """Return the accuracy under PGD of several libraries, without and with distillation."""
    from libraries import of_foolbox, of_ours, of_torchattacks

    inputs, labels = samples
    runs = {
        "foolbox": of_foolbox("L2ProjectedGradientDescentAttack", radius=RADIUS, steps=PGD_STEPS),
        "torchattacks": of_torchattacks(
            "PGDL2", eps=RADIUS, alpha=2.5 * RADIUS / PGD_STEPS, steps=PGD_STEPS
        ),
        "minnorm": of_ours(pgd, epsilon=RADIUS, steps=PGD_STEPS),
    }
    networks = {"undefended": network(), "distilled": defenses.distilled()}
    return {
        name: {
            key: float((model(run(model, inputs, labels, 0)).argmax(1) == labels).float().mean())
            for key, model in networks.items()
        }
        for name, run in runs.items()
    }


def table(results: dict[str, Any]) -> str:
    """Return the results as a table."""
    undefended = results["undefended"]
    lines = [
        "# Defenses that do not hold",
        "",
        f"{results['images']} images of `mnist-sample`, a network of two convolutions trained on "
        f"800 others. Its accuracy within an L2 distance of {RADIUS:g} is "
        f"{100 * undefended['accuracy']:.0f} %, and the median distance to the closest adversarial "
        f"{undefended['median']:.2f}. The network is the same in each row, except for thermometer "
        "code and distillation, which are part of the training. `plain` is without knowledge of "
        "the defense, `adaptive` with it. A median is infinite if no adversarial is found for half "
        "of the images. Written by `adaptive.py`.",
        "",
        f"| defense | clean % | plain: within {RADIUS:g} % | median | warnings "
        f"| adaptive: within {RADIUS:g} % | median | by |",
        "|---|---:|---:|---:|---|---:|---:|---|",
    ]
    for name, row in results["defenses"].items():
        plain, adaptive = row["plain"], row["adaptive"]
        lines.append(
            f"| {name} | {100 * plain['clean']:.0f} | {100 * plain['accuracy']:.0f} "
            f"| {_median(plain)} | {', '.join(plain['doubts'])} "
            f"| {100 * adaptive['accuracy']:.0f} | {_median(adaptive)} | {row['wrapper']} |"
        )
    if "peers" in results:
        lines += [
            "",
            f"Accuracy in % under PGD of {PGD_STEPS} steps in L2 within {RADIUS:g}:",
            "",
            "| library | no defense | defensive distillation |",
            "|---|---:|---:|",
        ]
        for name, row in results["peers"].items():
            lines.append(
                f"| {name} | {100 * row['undefended']:.0f} | {100 * row['distilled']:.0f} |"
            )
    return "\n".join(lines) + "\n"


def _median(row: dict[str, Any]) -> str:
    return f"{row['median']:.2f}" if math.isfinite(row["median"]) else "∞"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the defenses, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--only", nargs="*", help="names of defenses")
    parser.add_argument("--peers", action="store_true", help="needs foolbox and torchattacks")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    samples = minnorm.load_data(defenses.TEST).batch(range(options.images))
    results: dict[str, Any] = {
        "images": options.images,
        "undefended": asdict(measured(samples, network())),
        "defenses": {},
        **provenance.describe(torch.device("cpu")),
    }
    for case in CASES:
        if options.only is None or case.name in options.only:
            plain, adaptive = case.plain(samples), case.adaptive(samples)
            print(case.name, plain, adaptive, sep="\n    ", flush=True)
            results["defenses"][case.name] = {
                "plain": asdict(plain),
                "adaptive": asdict(adaptive),
                "wrapper": case.wrapper,
            }
    if options.peers:
        results["peers"] = peers(samples)
    write(options.json, results, table(results))


if __name__ == "__main__":
    main()
