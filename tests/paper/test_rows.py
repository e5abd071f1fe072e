"""The rows of a table: numbers by hand, beside the paper's."""

import numpy as np
import pytest

from evaluation.record_tables import INF
from minnorm.evaluation import mean_distance
from minnorm.paper.experiment import PaperFigures
from minnorm.paper.rows import ALL, EVERYTHING, records_of, result_rows
from paper.measured_by_hand import experiment, measured, over

COLUMNS = ("success", "mean", "median", "accuracy", "gradients", "seconds")


def test_a_row_counts_as_the_paper_does() -> None:
    figures = PaperFigures(success=90, mean=2.0, median=1.5, accuracy={1.0: 50.0})
    setting = measured({"DDN 100": [0.0, 1.0, 2.0, 3.0, INF]}, paper={"DDN 100": figures})
    (row,) = result_rows(experiment(columns=COLUMNS, epsilons=(1.0, 2.0)), setting)
    ours = {name: estimate.value for name, estimate in row.ours.items()}
    assert ours == {
        "success": 0.8,  # the misclassified image counts as one
        "mean": 1.5,
        "median": 2.0,  # the failure counts as 9, the distance to the gray image
        "accuracy@1": 0.6,
        "accuracy@2": 0.4,
        "gradients": 5.0,
        "seconds": 1.25,
    }
    assert row.images == 5
    assert row.clean.value == 0.8
    assert row.paper == {"success": 0.9, "mean": 2.0, "median": 1.5, "accuracy@1": 0.5}
    changes = {name: one.value for name, one in row.differences.items()}
    assert changes == pytest.approx(
        {"success": -0.1, "mean": -0.25, "median": 1 / 3, "accuracy@1": 0.1}
    )
    mean = row.ours["mean"]
    assert row.differences["mean"].low == pytest.approx(mean.low / 2.0 - 1)
    assert row.differences["mean"].high == pytest.approx(mean.high / 2.0 - 1)


def test_only_the_correct_images_count_where_the_setting_says_so() -> None:
    setting = measured({"DDN 100": [0.0, 1.0, 2.0, INF]}, over="correct")
    (row,) = result_rows(experiment(columns=COLUMNS), setting)
    assert row.images == 3
    assert row.clean.value == 0.75
    assert row.ours["success"].value == pytest.approx(2 / 3)
    assert row.ours["mean"].value == 1.5
    assert row.ours["median"].value == 2.0


def test_the_hardest_target_of_each_image_is_the_column_least_likely() -> None:
    setting = measured({"C&W": [1.0, 2.0, 3.0, INF]}, indices=[0, 0, 1, 1], targets=[1, 2, 1, 2])
    (row,) = result_rows(experiment(columns=("success", "mean", "hardest")), setting)
    assert row.ours["success"].value == 0.75
    assert row.ours["mean"].value == 2.0
    assert row.ours["hardest_success"].value == 0.5
    assert row.ours["hardest_mean"].value == 2.0


def test_all_is_over_the_attacks_of_the_paper_alone() -> None:
    setting = measured(
        {"A": [1.0, 4.0, INF], "B": [2.0, 3.0, 5.0], "new": [0.5, 0.5, 0.5]},
        combined=over("A", "B", figures=PaperFigures(mean=3.0)),
    )
    rows = {row.name: row for row in result_rows(experiment(columns=("mean",)), setting)}
    assert list(rows) == ["A", "B", "new", ALL, EVERYTHING]
    assert rows[ALL].ours["mean"].value == 3.0
    assert rows[ALL].differences["mean"].value == 0.0
    assert rows[EVERYTHING].ours["mean"].value == 0.5


def test_all_is_over_the_images_that_its_attacks_have_in_common() -> None:
    many = measured({"A": [1.0, 4.0, 6.0]}, combined=over("A", "B"))
    few = measured({"B": [2.0, 3.0]})
    both = type(many)(many.setting, (*many.runs, *few.runs))
    records = records_of(both, ALL)
    assert records is not None
    assert mean_distance(records, over="all").value == 2.0
    assert np.array_equal(records.column("index").to_numpy(), [0, 1])


def test_a_row_that_did_not_run_is_left_out() -> None:
    setting = measured({"A": [1.0]}, combined=over("A", "B"))
    assert records_of(setting, "B") is None
    assert records_of(setting, ALL) is None
    assert [row.name for row in result_rows(experiment(columns=("mean",)), setting)] == [
        "A",
        EVERYTHING,
    ]
