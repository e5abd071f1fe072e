"""Charts on axes: what is drawn, on which axis, and that nothing global changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.record_tables import INF
from minnorm import evaluate
from minnorm.errors import InputError
from minnorm.evaluation import accuracy_at
from minnorm.report import load_runs, plot_curves, plot_distances, plot_gallery
from minnorm.report.runs import LabeledRun
from report.made_runs import attack_run

HOSTILE = "_$\\frac{1}{0$<b>\x1b"
BOTH = attack_run({"ddn": [0.0, 1.0, 2.0, 3.0], "fmn": [0.0, 2.0, 1.0, INF]})


def other(label: str = "other") -> LabeledRun:
    return LabeledRun(label, attack_run({"ddn": [2.0, 4.0, 5.0, 6.0]}).run)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that has kept its adversarials."""
    out = tmp_path_factory.mktemp("axes") / "run"
    evaluate("zoo:mnist-cnn", "mnist-sample[:4]", "deepfool", out=out, batch_size=4)
    return out


def texts(axes: Axes) -> list[str]:
    """Return all texts of a chart."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.canvas.draw()
    found = figure.findobj(mpl.text.Text)
    return [one.get_text() for one in found if isinstance(one, mpl.text.Text) and one.get_text()]


@pytest.mark.parametrize("name", ["curves", "distances", "gallery"])
def test_a_chart_is_drawn_on_the_given_axis_and_changes_nothing_else(name: str, kept: Path) -> None:
    import matplotlib.pyplot as plt

    draw: dict[str, Callable[..., Axes]] = {
        "curves": lambda **more: plot_curves(BOTH, **more),
        "distances": lambda **more: plot_distances(BOTH, **more),
        "gallery": lambda **more: plot_gallery(kept, **more),
    }
    before, figures = dict(mpl.rcParams), plt.get_fignums()
    left, right = Figure().subplots(1, 2)
    assert draw[name](ax=left) is left
    assert not right.has_data()
    assert draw[name]() is not draw[name]()
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == figures


@pytest.mark.parametrize(("runs", "bands"), [(1, 1), (2, 2), (4, 4), (5, 0)])
def test_few_curves_have_bands(runs: int, bands: int) -> None:
    axes = plot_curves([BOTH, *(other(str(number)) for number in range(runs - 1))])
    assert len(axes.collections) == bands


def test_a_curve_shows_the_accuracies() -> None:
    axes = plot_curves(BOTH, attacks=["ddn"], epsilons=[1.5])
    line = axes.get_lines()[0]
    radii, shares = (np.asarray(values) for values in line.get_data())
    assert line.get_drawstyle() == "steps-post"
    for radius in (0.0, 0.5, 1.5, 2.5, 3.05):
        shown = shares[np.searchsorted(radii, radius, side="right") - 1]
        part = BOTH.parts()["ddn"]
        assert shown == pytest.approx(100 * accuracy_at(part, radius).value)
    assert axes.get_xlim()[0] == 0
    assert axes.get_ylim() == (0, 100)
    assert axes.get_xlabel() == "L2 radius"


def test_several_attacks_of_several_runs_share_colors_and_dashes() -> None:
    lines = plot_curves([BOTH, LabeledRun("other", BOTH.run)], attacks=["ddn", "fmn"]).get_lines()
    colors = [line.get_color() for line in lines]
    dashes = [str(line._dash_pattern) for line in lines]  # type: ignore[attr-defined]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    assert dashes[0] == dashes[2] != dashes[1] == dashes[3]


def test_curves_differ_in_color_and_dashes_and_have_a_legend() -> None:
    axes = plot_curves([BOTH, other(), other("third")])
    lines = axes.get_lines()
    assert len({line.get_color() for line in lines}) == 3
    assert len({str(line._dash_pattern) for line in lines}) == 3  # type: ignore[attr-defined]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "it: worst case", "other: ddn", "third: ddn",
    ]  # fmt: skip


def test_a_curve_ends_with_a_dot_where_nothing_is_known() -> None:
    run = attack_run({"pgd": [0.1, 0.2, INF], "ddn": [1.0, 2.0, 3.0]}, limits={"pgd": 0.5})
    lines = plot_curves(run).get_lines()
    dots = [line for line in lines if line.get_marker() == "o"]
    assert len(dots) == 1
    assert float(np.asarray(dots[0].get_xdata())[0]) == pytest.approx(0.5)
    assert float(np.asarray(lines[0].get_xdata())[-1]) == pytest.approx(0.5)


def test_names_from_outside_are_shown_as_they_are() -> None:
    runs = {HOSTILE: BOTH, "other": other()}
    shown = r"_$\frac{1}{0$<b>\x1b"
    assert f" {shown}: worst case" in texts(plot_curves(runs))
    assert f"{shown}: worst case" in texts(plot_distances(runs))


def test_distances_have_a_row_each_with_median_and_failures() -> None:
    found = texts(plot_distances(BOTH))
    for text in ("ddn", "fmn", "worst case", "2.00", "1 of 3\nfailed"):
        assert text in found
    axes = plot_distances([BOTH, other()], norm="linf")
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "it: worst case",
        "other: ddn",
    ]
    assert axes.get_xlabel() == "L∞ distance of the closest adversarial"


@pytest.mark.parametrize("draw", [plot_curves, plot_distances])
@pytest.mark.parametrize("distances", [[INF, INF], [0.0, 0.0], [1.0]])
def test_runs_with_few_distances_can_be_drawn(draw: Any, distances: list[float]) -> None:
    axes = draw(attack_run({"ddn": distances}))
    texts(axes)
    assert axes.get_xlim()[1] > 0


def test_a_gallery_names_classes_distances_and_factors(kept: Path) -> None:
    axes = plot_gallery(kept, count=3)
    run = load_runs([kept])[0]
    found = texts(axes)
    assert len(axes.get_images()) == 9
    assert {"original", "adversarial", "perturbation"} <= set(found)
    rows = {f"{row['l2']:#.3g}": row for row in run.run.records.to_pylist()}
    titles = [text for text in found if "→" in text]
    assert len(titles) == 3
    for title in titles:
        row = rows[title.split()[-1]]
        assert title.startswith(f"{row['clean_prediction']} → {row['adversarial_prediction']}\nL2 ")
    assert sum(text.startswith("\N{MULTIPLICATION SIGN} ") for text in found) == 3


def test_long_names_of_classes_have_a_line_each(kept: Path) -> None:
    run = load_runs([kept])[0]
    run.run.manifest["classes"] = [f"a long name, number {label}" for label in range(10)]
    axes = plot_gallery(run)
    titles = [text for text in texts(axes) if "→" in text]
    assert [title.count("\n") for title in titles] == [2] * 4


def test_without_images_there_is_no_gallery() -> None:
    with pytest.raises(InputError, match="there are no images to draw: No attack found"):
        plot_gallery(attack_run({"ddn": [INF]}))
    with pytest.raises(InputError, match="count=0: expected at least 1"):
        plot_gallery(BOTH, count=0)
