"""Reports: tables, charts and pages of records."""

from minnorm.report.decisions.comparison import Comparison, compare
from minnorm.report.decisions.gate import check
from minnorm.report.decisions.verdicts import RequirementVerdict, Verdicts
from minnorm.report.figures.curve_axes import plot_curves
from minnorm.report.figures.distance_axes import plot_distances
from minnorm.report.figures.gallery_axes import plot_gallery
from minnorm.report.page.page import write_report
from minnorm.report.runs import LabeledRun, label_runs, load_runs
from minnorm.report.tables.formats import to_csv, to_json, to_markdown
from minnorm.report.tables.latex import to_latex
from minnorm.report.tables.results import ResultRow, Results, results
from minnorm.report.tables.terminal import costs, results_table, to_table, to_text, with_interval

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
