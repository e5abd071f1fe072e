"""Figure 4 and the supplementary curves: drawn and written numbers are those of the records."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from evaluation.record_tables import INF
from minnorm.evaluation import accuracy_at, closest_records
from minnorm.paper.experiment import PaperFigures, load_experiment, options_of
from minnorm.paper.figures.curve_panels import CurvePanel, draw_curves
from minnorm.paper.figures.curves import CurveOptions, CurvePanelOptions, accuracy_table, panel_of
from minnorm.paper.measuring import MeasuredSetting
from paper.measured_by_hand import measured, over

STATED = {
    "MNIST": {1.5: (40.8, 67.3, 87.2), 2.0: (9.2, 38.6, 74.8)},
    "CIFAR-10": {0.5: (0.1, 56.1, 67.6), 1.0: (0.0, 24.4, 39.9)},
}
"""What the text of the paper says about figure 4: no defense, Madry et al., DDN."""

FIRST = {"a": [0.0, 1.0, 2.0, INF], "b": [0.0, 2.0, 1.5, 3.0]}
SECOND = {"a": [2.5, 3.0, INF, 0.5], "b": [2.0, INF, INF, 1.0]}
NETWORKS = {"plain": "no defense", "trained": "trained"}


def settings() -> dict[str, MeasuredSetting]:
    figures = PaperFigures(accuracy={1.0: 40.0})
    return {
        "plain": measured(FIRST, name="plain", combined=over("a", "b", figures=figures)),
        "trained": measured(SECOND, name="trained", combined=over("a", "b")),
    }


def panel(**options: object) -> CurvePanel:
    given = {"title": "T", "networks": NETWORKS, **options}
    return panel_of(CurvePanelOptions.model_validate(given), settings())


def accuracy_of_line(axes: Axes, number: int, radius: float) -> float:
    """Return what a line shows at a radius, in percent: a step function."""
    line = axes.lines[number]
    assert line.get_drawstyle() == "steps-post"
    radii, values = (np.asarray(data, float) for data in line.get_data())
    return float(values[np.searchsorted(radii, radius, side="right") - 1])


@pytest.mark.parametrize("radius", [0.0, 0.75, 1.0, 1.75, 2.2, 2.9])
def test_lines_show_the_accuracy_of_the_records(radius: float) -> None:
    drawn = panel(end=3.0)
    axes = draw_curves([drawn]).axes[0]
    lines = iter(range(len(axes.lines)))
    for network in drawn.networks:
        assert network.closest is not None
        parts = [network.closest, *network.attacks.values()]
        for records in parts:
            expected = 100 * accuracy_at(records, radius).value
            assert accuracy_of_line(axes, next(lines), radius) == pytest.approx(expected)
        for point, accuracy in network.points.items():
            marker = axes.lines[next(lines)]
            assert np.asarray(marker.get_xydata()).tolist() == [
                pytest.approx([point, 100 * accuracy])
            ]
    assert next(lines, None) is None


def test_the_closest_are_those_of_the_three_attacks_alone() -> None:
    more = {**FIRST, "c": [0.1, 0.1, 0.1, 0.1]}
    found = panel_of(
        CurvePanelOptions(title="T", networks={"plain": "no defense"}),
        {"plain": measured(more, name="plain", combined=over("a", "b"))},
    )
    (network,) = found.networks
    assert list(network.attacks) == ["a", "b"]
    assert network.closest is not None
    expected = closest_records(measured(FIRST).runs[0].records)
    assert network.closest.column("l2").to_pylist() == expected.column("l2").to_pylist()


def test_a_network_keeps_its_color_where_another_one_is_missing() -> None:
    measured_settings = settings()
    options = CurvePanelOptions(title="T", networks=NETWORKS)
    both = panel_of(options, measured_settings)
    alone = panel_of(options, {"trained": measured_settings["trained"]})
    assert alone.networks[0].color == both.networks[1].color != both.networks[0].color
    figure = draw_curves([alone, both])
    (legend,) = figure.legends
    shown = {
        text.get_text(): line.get_color()
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert shown["trained"] == both.networks[1].color
    assert shown["no defense"] == both.networks[0].color
    assert figure.axes[0].lines[0].get_color() == both.networks[1].color


def test_a_network_that_is_alone_keeps_its_closest_line_and_the_points_of_the_paper() -> None:
    alone = panel_of(
        CurvePanelOptions(title="T", networks=NETWORKS), {"plain": settings()["plain"]}
    )
    figure = draw_curves([alone])
    assert len(figure.axes[0].lines) == 4  # the closest, two attacks, and a point
    assert figure.legends[0].get_texts()[0].get_text() == "no defense"


def test_a_network_without_one_of_the_attacks_has_no_closest_line() -> None:
    lacking = measured({"a": [1.0, 2.0]}, name="plain", combined=over("a", "b"))
    found = panel_of(CurvePanelOptions(title="T", networks=NETWORKS), {"plain": lacking})
    (network,) = found.networks
    assert network.closest is None
    assert len(draw_curves([found]).axes[0].lines) == 1


def test_all_curves_of_a_panel_are_over_the_same_images() -> None:
    many = measured({"a": [1.0, 2.0, 3.0, 4.0]}, name="m")
    few = measured({"b": [9.0, 8.0]}, name="m", indices=[1, 3])
    both = MeasuredSetting(
        many.setting.model_copy(update={"attacks": many.setting.attacks + few.setting.attacks}),
        many.runs + few.runs,
    )
    found = panel_of(
        CurvePanelOptions(title="T", networks={"m": "m"}, attacks=("a", "b")), {"m": both}
    )
    assert found.title == "T, 2 images"
    attacks = found.networks[0].attacks
    assert attacks["a"].column("l2").to_pylist() == [2.0, 4.0]
    assert attacks["b"].column("l2").to_pylist() == [9.0, 8.0]


def test_the_table_has_our_accuracy_beside_the_papers_and_the_difference() -> None:
    options = CurvePanelOptions(title="T", networks=NETWORKS, epsilons=(2.5,))
    rows = accuracy_table(options, panel(epsilons=(2.5,))).rows
    assert [row[:2] for row in rows] == [
        (label, radius) for radius in ("1", "2.5") for label in ("no defense", "trained")
    ]
    # Of the distances 0, 1, 1.5, 3 two are beyond 1; of 2, 3, inf, 0.5 three.
    assert rows[0][2].startswith("50.0 [")
    assert rows[0][3] == "40.0"
    assert rows[0][4].startswith("+10.0 [")
    assert rows[1][2].startswith("75.0 [")
    assert rows[1][3:] == ("", "")
    assert rows[2][2].startswith("25.0 [")


def test_the_points_of_the_paper_are_those_of_its_text() -> None:
    experiment = load_experiment("figure4", "paper")
    options = options_of(experiment, CurveOptions)
    for one in options.panels:
        combined = [experiment.setting(name).combined for name in one.networks]
        figures = [row.figures for row in combined if row is not None and row.figures is not None]
        found = {
            radius: tuple(one.accuracy[radius] for one in figures) for radius in STATED[one.title]
        }
        assert found == STATED[one.title]


@pytest.mark.parametrize("name", ["figure4", "curves"])
@pytest.mark.parametrize("scale", ["paper", "cpu", "smoke"])
def test_the_rows_that_a_figure_draws_exist(name: str, scale: str) -> None:
    experiment = load_experiment(name, scale)  # type: ignore[arg-type]
    options = options_of(experiment, CurveOptions)
    named = {setting.name: setting for setting in experiment.settings}
    drawn = {setting for panel in options.panels for setting in panel.networks} & set(named)
    assert drawn == set(named)
    for one in options.panels:
        for setting in drawn & set(one.networks):
            rows = {row.name for row in named[setting].attacks}
            assert set(one.attacks) <= rows
