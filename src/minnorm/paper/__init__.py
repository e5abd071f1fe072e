"""The paper's published results, and the demo that compares with some of them."""

from minnorm.paper.demo import ROWS, Row, conclusion, demo_table, run_demo
from minnorm.paper.published import TABLE_1_MNIST_DDN, Published

__all__ = [
    "ROWS",
    "TABLE_1_MNIST_DDN",
    "Published",
    "Row",
    "conclusion",
    "demo_table",
    "run_demo",
]


def __dir__() -> list[str]:
    return __all__
