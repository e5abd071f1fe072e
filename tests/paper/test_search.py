"""The grid search: every combination runs, and the least median wins."""

import itertools
from pathlib import Path

import pytest

from minnorm import evaluate
from minnorm.errors import InputError
from minnorm.evaluation import Estimate, median_distance
from minnorm.paper.experiment import AttackRow, Experiment
from minnorm.paper.measuring import Options
from minnorm.paper.search import search, with_parameters
from paper.measured_by_hand import interrupted_after, shipped

GRID = {"step_size": [0.01, 0.5], "initial_constant": [1.0, 10.0]}


def experiment(**options: object) -> Experiment:
    rows = (
        AttackRow(name="C&W 2x5", attack="carlini_wagner(searches=2, steps=5)"),
        AttackRow(name="C&W 1x10", attack="carlini_wagner(searches=1, steps=10)"),
    )
    setting = shipped(*rows, images=3, experiment="cw-search")
    return Experiment(
        name="cw-search",
        scale="smoke",
        title="A search",
        kind="search",
        settings=(setting,),
        options=options,
    )


def test_the_winner_has_the_least_median_of_all_combinations(tmp_path: Path) -> None:
    outcome = search(experiment(grid=GRID), Options(tmp_path))
    winners = outcome.numbers["winners"]["MNIST"]
    assert set(winners) == {"C&W 2x5", "C&W 1x10"}
    medians: dict[tuple[float, ...], Estimate] = {}
    for step_size, constant in itertools.product(*GRID.values()):
        spec = (
            f"carlini_wagner(searches=2, steps=5, step_size={step_size}, "
            f"initial_constant={constant})"
        )
        run = evaluate("zoo:mnist-cnn", "mnist-sample[:3]", spec, batch_size=3, accelerate="off")
        medians[step_size, constant] = median_distance(run.records, failures="gray", over="all")
    best = min(medians, key=lambda point: medians[point].value)
    assert winners["C&W 2x5"] == dict(zip(GRID, best, strict=True))
    assert len(outcome.numbers["rows"]) == 8
    first, grid, _ = outcome.tables
    assert [row[0] for row in first.rows] == ["C&W 2x5", "C&W 1x10"]
    shown = [cell.split(" ")[0] for row in grid.rows for cell in row[1:]]
    assert shown == [f"{medians[point].value:.4f}" for point in itertools.product(*GRID.values())]


def test_a_search_that_is_not_finished_has_no_winner(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(experiment(grid=GRID), Options(tmp_path, on_progress=interrupted_after(3)))
    outcome = search(experiment(grid=GRID), Options(tmp_path, so_far=True))
    assert outcome.tables == ()
    assert outcome.numbers["winners"] == {}
    assert outcome.notes[-1] == "MNIST is left out: its search is not finished."
    empty = search(experiment(grid=GRID), Options(tmp_path / "empty", so_far=True))
    assert empty.notes[-1] == "MNIST is not run. No batch of it is finished yet."


def test_parameters_replace_those_of_a_spec() -> None:
    spec = with_parameters("carlini_wagner(steps=5, step_size=1)", {"step_size": 0.5})
    assert spec == "carlini_wagner(steps=5, step_size=0.5)"


@pytest.mark.parametrize("options", [{}, {"grid": {}}, {"grid": GRID, "budget": 3}])
def test_wrong_options_are_refused(options: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the options of cw-search cannot be read"):
        search(experiment(**options), Options(tmp_path))
