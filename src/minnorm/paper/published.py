"""The paper's figures (Rony et al. 2019), as the files of the experiments have them."""

from functools import cache

from minnorm.errors import InputError
from minnorm.paper.experiment import PaperFigures, load_experiment


@cache
def published_row(experiment: str, setting: str, row: str) -> PaperFigures:
    """Return the figures of a row of a table in the paper.

    Args:
        experiment: The name of the table, for example `table1`.
        setting: The name of the group of rows, for example `MNIST`.
        row: The name of the row, for example `DDN 100`.

    Raises:
        InputError: If the paper has no such row.
    """
    rows = load_experiment(experiment, "paper").setting(setting).attacks
    figures = {one.name: one.paper for one in rows}.get(row)
    if figures is None:
        raise InputError(f"the paper has no row {row!r} for {setting} in {experiment}.")
    return figures
