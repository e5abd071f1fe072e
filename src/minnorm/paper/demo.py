"""The demo: small budgets beside the DDN rows of the paper's table 1 for MNIST.

All rows attack the same shipped images with the shipped network, in one run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from rich.table import Table

from minnorm.evaluation import Evaluation, Records, Summary, evaluate, of_attack, summarize
from minnorm.evaluation.records import samples_in
from minnorm.evaluation.selection import values_of
from minnorm.paper.experiment import PaperFigures
from minnorm.paper.published import published_row
from minnorm.report import costs

MODEL = "zoo:mnist-cnn"
DATA = "mnist-sample[:100]"

DemoProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of the row that runs, and with the finished and all gradients."""


@dataclass(frozen=True)
class Row:
    """A row of the demo. All rows round to 8-bit images, as the paper does.

    Attributes:
        name: The attack and its effort, in words.
        attack: Its spec.
        gradients: The gradients that it is given; one for the whole batch counts as one.
        paper: The name of this attack's row in table 1, if the paper has one.
    """

    name: str
    attack: str
    gradients: int
    paper: str | None = None


def _pursuit(budget: int) -> Row:
    return Row(
        f"normal pursuit, budget {budget}", f"normal_pursuit(budget={budget}, levels=256)", budget
    )


def _ddn(steps: int) -> Row:
    spec = f"ddn(steps={steps}, levels=256)"
    return Row(f"DDN, {steps:,} steps", spec, steps, f"DDN {steps:,}")


ROWS = (
    Row("DeepFool", "deepfool(levels=256)", 50),
    _pursuit(30),
    _pursuit(100),
    *map(_ddn, (100, 300, 1000)),
)
"""The rows, the cheapest first."""

FEW, MANY = ROWS[1], ROWS[-1]
"""Normal pursuit and DDN, whose norms the demo compares in a sentence."""


def run_demo(
    out: Path, *, device: str | None = None, on_progress: DemoProgress | None = None
) -> Evaluation:
    """Run all rows, and return the run.

    Args:
        out: The run directory; an interrupted demo continues there.
        device: The device; by default a GPU if there is one.
        on_progress: Called after each gradient and each finished row, see `DemoProgress`.
    """
    total = sum(row.gradients for row in ROWS)
    running = first = -1

    def report(done: int, _units: int, gradients: int) -> None:
        nonlocal running, first
        if done != running:
            running, first = done, gradients
        row = ROWS[min(done, len(ROWS) - 1)]
        finished = sum(earlier.gradients for earlier in ROWS[:done])
        if on_progress is not None:
            on_progress(row.name, finished + min(gradients - first, row.gradients), total)

    attacks = [row.attack for row in ROWS]
    return evaluate(
        MODEL, DATA, attacks, out=out, batch_size=100, device=device, on_progress=report
    )


def demo_table(records: Records) -> Table:
    """Return a table of our rows; the paper's row follows each of DDN."""
    count = samples_in(records)
    table = Table(
        title=f"{count} MNIST images: this package's network, and the paper's (table 1)",
        caption="Each row attacks the same images, and rounds to 8-bit images at every step, as in "
        "the paper. A misclassified image counts as a success at distance 0, and in the median, as "
        "there, a failure counts as the distance to the gray image. Gradients and forwards: "
        "backward and forward passes per image; a budget counts them as 0.6 and 0.4. Seconds: for "
        "all images. The paper's numbers are of another network of the same architecture, 1,000 "
        "images and a GTX 1080 Ti, so norms and seconds differ.",
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("attack")
    for name in ("success %", "mean L2", "median L2", "gradients", "forwards", "seconds"):
        table.add_column(name, justify="right")
    for row in ROWS:
        summary = summarize(of_attack(records, row.attack), row.attack, over="all")
        table.add_row(row.name, *_cells(summary))
        if row.paper is not None:
            figures = published_row("table1", "MNIST", row.paper)
            table.add_row("  the paper's", *_paper_cells(figures), style="dim")
    return table


def conclusion(records: Records) -> str:
    """Return what the table shows, in a sentence: the norms with few and with many gradients.

    Args:
        records: The records of the demo; those of `FEW` and `MANY` are enough.
    """
    parts = [of_attack(records, row.attack).sort_by("index") for row in (FEW, MANY)]
    few, many = (values_of(part, "l2") for part in parts)
    both = np.isfinite(few) & np.isfinite(many)
    percent = 100 * (few[both].mean() / many[both].mean() - 1)
    if abs(percent) < 0.05:
        norms = "perturbations as large on average as those"
    else:
        word = "smaller" if percent < 0 else "larger"
        norms = f"perturbations that are {abs(percent):.1f} % {word} on average than those"
    images = "" if both.all() else f", over the {both.sum()} images on which both succeed"
    seconds = [values_of(part, "seconds").sum() for part in parts]
    return (
        f"With a budget of {FEW.gradients} gradients, normal pursuit finds {norms} of DDN with "
        f"{MANY.gradients:,}{images}. It took {seconds[0]:.1f} seconds instead of "
        f"{seconds[1]:.1f}."
    )


def _cells(summary: Summary) -> tuple[str, ...]:
    return (
        f"{100 * summary.success.value:.1f}",
        f"{summary.mean.value:.4f}",
        f"{summary.median_gray.value:.4f}",
        *costs(summary),
    )


def _paper_cells(row: PaperFigures) -> tuple[str, ...]:
    return (
        f"{row.success:.1f}",
        f"{row.mean:.4f}",
        f"{row.median:.4f}",
        f"{row.gradients:,.0f}",
        "",
        f"{row.seconds:.1f}",
    )
