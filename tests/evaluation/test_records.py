"""Records: the columns, and the rows of a batch."""

import math
from typing import Any

import pyarrow as pa
import pytest
import torch

from evaluation.record_tables import INF, table
from minnorm.errors import InputError
from minnorm.evaluation import (
    SCHEMA,
    accuracy_at,
    clean_accuracy,
    closest_records,
    mean_distance,
    median_distance,
    success_rate,
)
from minnorm.evaluation.records import (
    are_targeted,
    attacks_in,
    check_distinct,
    join_records,
    make_records,
    norms_in,
    radii_from_text,
    samples_in,
    with_all_columns,
)
from minnorm.geometry import NORM_ORDERS


@pytest.mark.parametrize("targets", [None, torch.tensor([2, 0])])
def test_each_sample_of_a_batch_has_a_row(targets: torch.Tensor | None) -> None:
    records = make_records(
        "mine",
        "linf",
        [7, 9],
        torch.tensor([0, 1]),
        targets,
        radius_limit=0.3 if targets is None else None,
        fixed_radii=[1 / 3, 0.3] if targets is None else None,
        predictions=(torch.tensor([0, 2]), torch.tensor([1, -1])),
        success=torch.tensor([True, False]),
        reported=torch.tensor([False, True]),
        shares=(None, None) if targets is None else (torch.tensor([0.75, 0.5]), torch.ones(2)),
        distances={norm: torch.tensor([n + 0.5, torch.inf]) for n, norm in enumerate(NORM_ORDERS)},
        rounding=torch.tensor([0.5, 0.25]),
        gray=torch.tensor([3.0, 4.0]),
        constants=None if targets is None else torch.tensor([0.5, torch.inf]),
        spent=(5.0, 4.0, 0.25),
    )
    assert records.schema.equals(SCHEMA)
    shared = {
        "attack": "mine", "norm": "linf", "radius_limit": 0.3 if targets is None else None,
        "fixed_radii": "0.3333333333333333 0.3" if targets is None else None,
        "forwards": 5.0, "backwards": 4.0, "seconds": 0.25,
    }  # fmt: skip
    is_random = targets is not None
    first, second = records.to_pylist()
    assert first == {
        **shared, "index": 7, "label": 0, "target": None if targets is None else 2,
        "clean_prediction": 0, "adversarial_prediction": 1, "success": True, "reported": False,
        "clean_share": 0.75 if is_random else None,
        "adversarial_share": 1.0 if is_random else None,
        "l0": 0.5, "l1": 1.5, "l2": 2.5, "linf": 3.5, "rounding": 0.5, "gray_l2": 3.0,
        "constant": 0.5 if targets is not None else None,
    }  # fmt: skip
    assert second == {
        **shared, "index": 9, "label": 1, "target": None if targets is None else 0,
        "clean_prediction": 2, "adversarial_prediction": -1, "success": False, "reported": True,
        "clean_share": 0.5 if is_random else None,
        "adversarial_share": 1.0 if is_random else None,
        "l0": math.inf, "l1": math.inf, "l2": math.inf, "linf": math.inf, "rounding": 0.25,
        "gray_l2": 4.0, "constant": math.inf if targets is not None else None,
    }  # fmt: skip


def test_records_of_an_earlier_version_get_the_columns_that_they_lack() -> None:
    records = table([2.0, 1.0])
    earlier = records.drop_columns(["clean_share", "adversarial_share", "constant"])
    assert with_all_columns(earlier).equals(records)
    assert with_all_columns(records).equals(records)


def test_attacks_within_a_radius_of_an_earlier_version_may_not_have_searched_for_the_closest() -> (
    None
):
    earlier = table([2.0, INF], radius_limit=8 / 255).drop_columns(["fixed_radii"])
    (text,) = with_all_columns(earlier).column("fixed_radii").unique().to_pylist()
    assert radii_from_text(text) == (8 / 255,)
    unlimited = table([2.0, INF]).drop_columns(["fixed_radii"])
    assert with_all_columns(unlimited).equals(table([2.0, INF]))


def test_records_join_in_the_order_of_the_parts() -> None:
    parts = [table([2.0, 1.0]), table([3.0])]
    assert join_records(parts).column("l2").to_pylist() == [2.0, 1.0, 3.0]
    assert join_records([]).equals(SCHEMA.empty_table())


def test_what_records_hold_is_in_the_order_of_the_records() -> None:
    both = pa.concat_tables([table([1.0, 2.0], attack="x", norm="linf"), table([1.0], attack="b")])
    assert (attacks_in(both), norms_in(both), samples_in(both)) == (["x", "b"], ["linf", "l2"], 2)
    assert not are_targeted(both)
    assert are_targeted(table([1.0], targets=[3]))
    nothing = table([])
    assert (attacks_in(nothing), norms_in(nothing), samples_in(nothing)) == ([], [], 0)
    assert not are_targeted(nothing)


@pytest.mark.parametrize(
    "metric",
    [
        clean_accuracy,
        success_rate,
        mean_distance,
        median_distance,
        closest_records,
        lambda records: accuracy_at(records, 1.0),
    ],
)
@pytest.mark.parametrize("targets", [None, [1, 2, 1]])
def test_records_of_two_runs_are_not_pooled(metric: Any, targets: list[int] | None) -> None:
    parts = [table([1.0, 2.0, 3.0], indices=[4, 5, 6], targets=targets), table([0.0], indices=[5])]
    if targets is not None:
        parts[1] = table([0.0], indices=[5], targets=[2])
    joined = pa.concat_tables(parts)
    with pytest.raises(InputError, match="have sample 5 of ddn more than once, as records of two"):
        metric(joined)
    metric(parts[0])


def test_a_sample_may_have_several_attacks_targets_and_places() -> None:
    targets = [table([1.0, 2.0], targets=[target] * 2) for target in (1, 2)]
    check_distinct(pa.concat_tables([*targets, table([1.0, 2.0], attack="fmn", targets=[1, 2])]))
    check_distinct(table([1.0, 2.0], indices=[2**61, 0]))
    check_distinct(SCHEMA.empty_table())
