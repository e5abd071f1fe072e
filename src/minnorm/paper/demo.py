"""The demo: the DDN rows of the paper's table 1 for MNIST, with shipped images and network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.table import Table
from rich.text import Text

from minnorm.evaluation import Records, Summary, evaluate, summarize
from minnorm.paper.published import TABLE_1_MNIST_DDN
from minnorm.report import costs

MODEL = "zoo:mnist-cnn"
IMAGES = {100: 200, 300: 70, 1000: 20}
"""The number of images by the number of steps: about 20,000 gradients per row, so that the demo
takes about a minute on two cores. The paper's rows are averages over 1,000 images."""


@dataclass(frozen=True)
class Row:
    """A row of the demo: DDN with a number of steps, quantized to `levels` unless it is `None`."""

    steps: int
    levels: int | None

    @property
    def attack(self) -> str:
        """The spec of the attack."""
        return f"ddn(steps={self.steps}" + (f", levels={self.levels})" if self.levels else ")")

    @property
    def data(self) -> str:
        """The spec of the data."""
        return f"mnist-sample[:{IMAGES[self.steps]}]"

    @property
    def folder(self) -> str:
        """The name of its run directory inside the folder of the demo."""
        return f"ddn-{self.steps}" + (f"-{self.levels}-levels" if self.levels else "")


ROWS = [Row(steps, levels) for levels in (256, None) for steps in IMAGES]


def run_demo(
    out: Path, *, device: str | None = None, on_progress: Callable[[Row, int, int, int], None]
) -> Iterator[tuple[Row, Records]]:
    """Run the rows in order, each with its own run directory inside `out`.

    Args:
        out: The folder of the run directories; an interrupted demo continues there.
        device: The device; by default a GPU if there is one.
        on_progress: Called with the row, its finished batches, all its batches, and the gradients
            computed so far, where one gradient of a batch counts as one.

    Yields:
        Each row with its records.
    """
    for row in ROWS:
        evaluation = evaluate(
            MODEL,
            row.data,
            row.attack,
            out=out / row.folder,
            batch_size=100,
            device=device,
            on_progress=partial(on_progress, row),
        )
        yield row, evaluation.records


def demo_table(results: list[tuple[Row, Records]]) -> Table:
    """Return a table of our rows; the paper's row follows each quantized one."""
    table = Table(
        title="DDN on MNIST: this package's network and the paper's (table 1)",
        caption="Each row uses the first test images; rows with more steps use fewer. As in the "
        "paper: a misclassified image counts as a success at distance 0, and in the median a "
        "failure counts as the distance to the gray image. Seconds: time of the run that computed "
        "the records. The means differ from the paper's because the network differs. Paper: GTX "
        "1080 Ti, 256 levels.",
    )
    table.add_column("attack")
    for name in ("images", "success %", "mean L2", "median L2", "gradients", "seconds"):
        table.add_column(name, justify="right")
    for row, records in results:
        table.add_row(Text(row.attack), *_cells(summarize(records, row.attack, over="all")))
        if row.levels is not None:
            paper = TABLE_1_MNIST_DDN[row.steps]
            table.add_row(
                "  the paper's",
                "1,000",
                f"{paper.success:.1f}",
                f"{paper.mean:.4f}",
                f"{paper.median:.4f}",
                f"{paper.gradients:,}",
                f"{paper.seconds:.1f}",
                style="dim",
            )
    return table


def _cells(summary: Summary) -> tuple[str, ...]:
    gradients, _, seconds = costs(summary)
    return (
        f"{summary.samples:,}",
        f"{100 * summary.success.value:.1f}",
        f"{summary.mean.value:.4f}",
        f"{summary.median_gray.value:.4f}",
        gradients,
        seconds,
    )
