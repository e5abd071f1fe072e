"""Reports: tables, charts and pages of records."""

from minnorm.report.comparison import Comparison, compare
from minnorm.report.gate import check
from minnorm.report.page import write_report
from minnorm.report.runs import LabeledRun, label_runs, load_runs
from minnorm.report.tables import costs, results_table, with_interval
from minnorm.report.verdicts import RequirementVerdict, Verdicts

__all__ = [
    "Comparison",
    "LabeledRun",
    "RequirementVerdict",
    "Verdicts",
    "check",
    "compare",
    "costs",
    "label_runs",
    "load_runs",
    "results_table",
    "with_interval",
    "write_report",
]


def __dir__() -> list[str]:
    return __all__
