"""Reports: tables, charts and pages of records."""

from minnorm.report.comparison import Comparison, compare
from minnorm.report.curve_axes import plot_curves
from minnorm.report.distance_axes import plot_distances
from minnorm.report.formats import to_csv, to_json, to_markdown
from minnorm.report.gallery_axes import plot_gallery
from minnorm.report.gate import check
from minnorm.report.latex import to_latex
from minnorm.report.page import write_report
from minnorm.report.results import ResultRow, Results, results
from minnorm.report.runs import LabeledRun, label_runs, load_runs
from minnorm.report.tables import costs, results_table, to_table, to_text, with_interval
from minnorm.report.verdicts import RequirementVerdict, Verdicts

__all__ = [
    "Comparison",
    "LabeledRun",
    "RequirementVerdict",
    "ResultRow",
    "Results",
    "Verdicts",
    "check",
    "compare",
    "costs",
    "label_runs",
    "load_runs",
    "plot_curves",
    "plot_distances",
    "plot_gallery",
    "results",
    "results_table",
    "to_csv",
    "to_json",
    "to_latex",
    "to_markdown",
    "to_table",
    "to_text",
    "with_interval",
    "write_report",
]


def __dir__() -> list[str]:
    return __all__
