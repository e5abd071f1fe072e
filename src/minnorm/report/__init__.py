"""Reports: tables of records."""

from minnorm.report.tables import costs, results_table, with_interval

__all__ = ["costs", "results_table", "with_interval"]


def __dir__() -> list[str]:
    return __all__
