"""Charts: their specifications, and that Vega draws them."""

import json
import sys
from itertools import pairwise

import pytest
import vl_convert

from minnorm.errors import MissingLibraryError
from minnorm.geometry import Norm
from minnorm.report.page.charts import curves_chart, distances_chart, script
from minnorm.report.texts import norm_name

POINTS = [
    {
        "curve": name, "color": color, "dash": [4, 2], "marker": "square", "width": 2,
        "radius": radius, "accuracy": accuracy, "low": accuracy / 2, "high": 1.0,
        "marked": radius == 1,
    }
    for name, color in (("one", "#123456"), ("two", "#654321"))
    for radius, accuracy in ((0, 1.0), (1, 0.5), (2, 0.25))
]  # fmt: skip


def drawn(norm: Norm, hidden: tuple[str, ...] = (), *, bands: bool = True) -> str:
    """Return the chart of two curves as SVG."""
    spec = curves_chart(norm, 2.0)
    for parameter in spec["params"]:
        parameter["value"] = {
            "hidden": list(hidden),
            "bands": ["one", "two"] if bands else [],
            "radius": 1,
        }[parameter["name"]]
    spec |= {"datasets": spec["datasets"] | {"curves": POINTS, "values": []}, "width": 300}
    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg


@pytest.mark.parametrize(("norm", "name"), [("l0", "L0"), ("l2", "L2"), ("linf", "L∞")])
def test_the_axis_names_the_norm(norm: Norm, name: str) -> None:
    assert norm_name(norm) == name
    assert f"radius ({name})" in drawn(norm)


def test_curves_and_bands_can_be_hidden() -> None:
    both, one = drawn("l2"), drawn("l2", ("two",))
    assert all(color in both for color in ("#123456", "#654321"))
    assert "#123456" in one
    assert "#654321" not in one
    assert drawn("l2", bands=False).count("#123456") == both.count("#123456") - 1


def test_a_curve_is_a_step_function_with_dashes_and_markers() -> None:
    svg = drawn("l2", ("two",), bands=False)
    assert 'stroke-dasharray="4,2"' in svg
    path = next(part for part in svg.split("<path ") if 'stroke="#123456"' in part)
    moves = path.split('d="')[1].split('"')[0]
    points = [tuple(map(float, pair.split(","))) for pair in moves.removeprefix("M").split("L")]
    across = [point[0] for point in points[1:]]
    assert across == sorted(across)
    # Each move is along a step or down to the next one.
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(points))
    assert len({height for _, height in points}) == 3


def test_histograms_are_drawn_one_below_the_other() -> None:
    spec = distances_chart("l2", 2, 2.0)
    bars = [
        {"start": 0, "end": 1, "bottom": -1, "top": -0.5, "color": "#123456"},
        {"start": 1, "end": 2, "bottom": -2, "top": -1.5, "color": "#654321"},
    ]
    rows = [
        {"name": "first", "median": 1, "bottom": -1, "top": -0.3, "name_top": 0},
        {"name": "second", "median": None, "bottom": -2, "top": -1.3, "name_top": -1},
    ]
    spec |= {"datasets": {"distances": bars, "rows": rows}, "width": 300}
    svg = vl_convert.vegalite_to_svg(spec)
    assert svg.index(">first<") < svg.index(">second<")
    assert svg.count("stroke-dasharray") == 1  # only one has a median
    assert spec["height"] == 2 * distances_chart("l2", 1, 2.0)["height"]


def test_colors_are_variables_of_the_page() -> None:
    for spec in (curves_chart("l2", 1.0), distances_chart("l2", 1, 2.0)):
        text = json.dumps(spec)
        assert "var(--text)" in text
        assert "#" not in text


def test_the_script_draws_charts_and_needs_nothing_else() -> None:
    text = script()
    assert "window.vegaEmbed" in text
    assert "</script" not in text
    assert len(text) < 1e6


@pytest.mark.parametrize("library", ["altair", "vl_convert"])
def test_a_missing_library_is_named_with_its_extra(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    script.cache_clear()
    with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[report\]'"):
        script()
