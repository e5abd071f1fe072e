"""The paper's tables and figures, repeated; and the demo, which compares with some of them."""

from minnorm.paper.demo import ROWS, Row, conclusion, demo_table, run_demo
from minnorm.paper.experiment import Experiment, PaperFigures, experiment_names, load_experiment
from minnorm.paper.measuring import Options
from minnorm.paper.outcome import Outcome
from minnorm.paper.published import published_row
from minnorm.paper.reproduction import load_experiments, reproduce
from minnorm.paper.scales import Scale, read_scale

__all__ = [
    "ROWS",
    "Experiment",
    "Options",
    "Outcome",
    "PaperFigures",
    "Row",
    "Scale",
    "conclusion",
    "demo_table",
    "experiment_names",
    "load_experiment",
    "load_experiments",
    "published_row",
    "read_scale",
    "reproduce",
    "run_demo",
]


def __dir__() -> list[str]:
    return __all__
