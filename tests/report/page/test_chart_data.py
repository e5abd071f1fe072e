"""The data of the charts: which curves are shown, and the numbers behind them."""

import json
import math

import numpy as np
import pyarrow as pa
import pytest

from evaluation.record_tables import table
from minnorm.evaluation import accuracy_at
from minnorm.report import label_runs
from minnorm.report.page.chart_data import NormCharts, norm_charts, value_at
from minnorm.report.page.series import COLORS, DASHES, MARKERS, styles
from report.made_runs import made_run

INF = math.inf
DISTANCES = [0.0, 0.5, 1.0, 1.5, 2.0, INF]
TWO = pa.concat_tables([table(DISTANCES), table([3.0 * d for d in DISTANCES], attack="weak")])


def charts(*records: pa.Table, only: bool = False) -> NormCharts:
    runs = label_runs([made_run(one, model=f"zoo:m{n}") for n, one in enumerate(records)])
    return norm_charts(runs, "l2", only=only, radii=[0.5, 1.0, 2.0])


def test_few_curves_are_all_shown_and_of_many_the_closest() -> None:
    few, many = charts(TWO), charts(TWO, TWO)
    assert [(one.name, one.shown) for one in few.attacks] == [
        ("ddn", True), ("weak", True), ("worst case", True),
    ]  # fmt: skip
    assert [(one.name, one.shown) for one in many.attacks] == [
        ("ddn", False), ("weak", False), ("worst case", True),
    ]  # fmt: skip
    assert [one.name for one in many.runs] == ["m0", "m1"]
    assert [closest for _, _, _, closest in many.curves] == [False, False, True] * 2


def test_the_table_has_the_accuracies_of_the_records() -> None:
    made = charts(table(DISTANCES))
    rows = made.table()
    assert rows[0][0] == 0.0
    assert rows[-1][0] == made.farthest
    for radius, [found] in rows:
        assert found == pytest.approx(tuple(accuracy_at(table(DISTANCES), radius)))


@pytest.mark.parametrize("radius", [0.0, 0.49, 0.5, 1.7, 99.0])
def test_a_value_is_that_of_the_step(radius: float) -> None:
    [(_, curve, _, _)] = charts(table(DISTANCES)).curves
    assert value_at(curve, radius) == pytest.approx(tuple(accuracy_at(table(DISTANCES), radius)))


def test_nothing_is_known_beyond_the_limit_of_an_attack() -> None:
    [(_, curve, _, _)] = charts(table([0.1, INF, INF], radius_limit=0.25)).curves
    assert value_at(curve, 0.25)[0] == pytest.approx(2 / 3)
    assert all(math.isnan(one) for one in value_at(curve, 0.3))


def test_a_weak_attack_does_not_press_the_closest_curve_to_the_left() -> None:
    far = pa.concat_tables([table([1.0, 2.0]), table([900.0, 1000.0], attack="weak")])
    assert charts(far).farthest == pytest.approx(1.5 * 2.0, rel=0.05)
    assert charts(table([1.0, 2.0])).farthest == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("records", [table([0.0]), table([INF]), table([INF], radius_limit=0.3)])
def test_the_axis_has_a_length_even_if_no_curve_falls(records: pa.Table) -> None:
    made = charts(records)
    assert 0.3 <= made.farthest <= 1.02
    steps = made.farthest / made.step
    assert 100 <= steps <= 1100
    assert steps == pytest.approx(round(steps))


def test_only_attacks_that_minimize_the_norm_are_drawn_unless_it_is_chosen() -> None:
    records = pa.concat_tables([table([1.0]), table([2.0], attack="other", norm="linf")])
    assert [one.name for one in charts(records).attacks] == ["ddn", "worst case in l2"]
    assert [one.name for one in charts(records, only=True).attacks] == [
        "ddn", "other", "worst case",
    ]  # fmt: skip


def test_of_many_histograms_the_closest_are_shown() -> None:
    records = pa.concat_tables([table([1.0, 2.0], attack=f"a{n}") for n in range(7)])
    made = charts(records, records)
    assert [(one.run, one.attack) for one, _ in made.histograms] == [
        ("m0", "worst case"), ("m1", "worst case"),
    ]  # fmt: skip
    assert made.left_out == 14
    assert charts(records).left_out == 0


def test_the_values_for_the_script_are_json_without_nan() -> None:
    values = charts(TWO, table([INF, INF])).values()
    text = json.dumps(values, allow_nan=False)
    assert json.loads(text) == values
    curve = values["curves"][0]
    assert curve["limit"] is None
    assert np.all(np.diff(curve["radii"]) > 0)
    assert len({len(curve[name]) for name in ("radii", "accuracy", "low", "high")}) == 1


def test_many_samples_need_little_space() -> None:
    many = table(np.random.default_rng(0).gamma(4, size=20_000).tolist())
    assert len(json.dumps(charts(many).values()["curves"])) < 20_000


def test_no_two_curves_look_the_same() -> None:
    one_run = [("run", f"attack {number}") for number in range(6)]
    grid = [(f"run {r}", f"attack {a}") for r in range(6) for a in range(6)]
    for curves in (one_run, grid):
        found = styles(curves)
        assert len(set(found.values())) == len(curves)
        # Nothing by color alone: dashes and markers distinguish them, too.
        assert len({(style.dash, style.marker) for style in found.values()}) == len(curves)
    assert found["run 0", "attack 5"].dash == ()  # the last row is the closest of all
    assert len(set(DASHES)) == len(set(MARKERS)) == 6
    assert COLORS >= 6


def test_a_value_below_a_fixed_radius_is_an_upper_bound() -> None:
    records = table([0.3, 0.3, INF], radius_limit=0.3, fixed_radii="0.3")
    [(_, curve, _, _)] = charts(records).curves
    assert value_at(curve, 0.1).is_upper_bound
    assert value_at(curve, 0.1) == pytest.approx(tuple(accuracy_at(records, 0.1)))
    assert not value_at(curve, 0.3).is_upper_bound
    [drawn] = charts(records).values()["curves"]
    assert drawn["at_most"] == curve.at_most.tolist()
    [usual] = charts(table([0.3, INF])).values()["curves"]
    assert "at_most" not in usual
