"""Charts of the page: Vega-Lite specifications made with Altair, without their data.

The page holds the data once, for charts and tables alike, and its script passes them to the charts
by the names below. Colors are variables of the page's style sheet, so a chart follows the theme.
"""

from functools import cache
from typing import Any

from minnorm.errors import MissingLibraryError
from minnorm.geometry import Norm
from minnorm.report.texts import norm_name

CURVES, VALUES = "curves", "values"
"""The data of robustness curves: their points, and their values at the chosen radius."""

DISTANCES, ROWS = "distances", "rows"
"""The data of distances: the bars of the histograms, and one entry for each histogram."""

ROW_HEIGHT = 72
"""The height of a histogram in pixels."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_TEXT, _MUTED, _LINES, _PAPER = "var(--text)", "var(--muted)", "var(--line)", "var(--paper)"

_TICKS = "ceil(width / 90)"
"""The number of ticks on an axis of radii: fewer on a narrow screen."""


def curves_chart(norm: Norm, farthest: float) -> dict[str, Any]:
    """Return the chart of robustness curves.

    Its parameters are `hidden`, the identifiers of the curves that are not shown; `bands`, those
    with a confidence band; and `radius`, the radius of the vertical line.

    Args:
        norm: The norm of the radii.
        farthest: The end of the axis.

    Raises:
        MissingLibraryError: If Altair is not installed.
    """
    alt = _altair()
    hidden = alt.param("hidden", value=[])
    bands = alt.param("bands", value=[])
    radius = alt.param("radius", value=0)
    shown = alt.Chart(alt.NamedData(CURVES)).transform_filter("indexof(hidden, datum.curve) < 0")
    x = alt.X(
        "radius:Q",
        title=f"radius ({norm_name(norm)})",
        scale=alt.Scale(domain=[0, farthest], nice=False),
        axis=alt.Axis(tickCount=alt.expr(_TICKS)),
    )
    y = alt.Y(
        "accuracy:Q",
        title="robust accuracy",
        axis=alt.Axis(labelExpr="round(100 * datum.value) + ' %'", tickCount=5),
        scale=alt.Scale(domain=[0, 1]),
    )
    color = alt.Color("color:N", scale=None, legend=None)
    shape = alt.Shape("marker:N", scale=None, legend=None)
    band = (
        shown.transform_filter("indexof(bands, datum.curve) >= 0")
        .mark_area(interpolate="step-after", opacity=0.14)
        .encode(
            x=x,
            y=alt.Y("low:Q", title="robust accuracy"),
            y2="high:Q",
            color=color,
            detail="curve:N",
        )
    )
    line = shown.mark_line(interpolate="step-after").encode(
        x=x,
        y=y,
        color=color,
        detail="curve:N",
        strokeDash=alt.StrokeDash("dash:N", scale=None, legend=None),
        strokeWidth=alt.StrokeWidth("width:Q", scale=None, legend=None),
    )
    markers = (
        shown.transform_filter("datum.marked")
        .mark_point(filled=True, size=46, opacity=1)
        .encode(x=x, y=y, color=color, shape=shape)
    )
    rule = (
        alt.Chart(alt.InlineData(values=[{}]))
        .transform_calculate(radius="radius")
        .mark_rule(color=_MUTED, strokeDash=[3, 3])
        .encode(x=x)
    )
    values = (
        alt.Chart(alt.NamedData(VALUES))
        .mark_point(filled=True, size=70, opacity=1, stroke=_PAPER, strokeWidth=1.5)
        .encode(x=x, y=y, color=color, shape=shape)
    )
    chart = alt.layer(band, line, markers, rule, values).add_params(hidden, bands, radius)
    return _finished(chart, height=360)


def distances_chart(norm: Norm, histograms: int, farthest: float) -> dict[str, Any]:
    """Return the chart of distances: one histogram below the other, on a common axis.

    Args:
        norm: The norm of the distances.
        histograms: The number of histograms.
        farthest: The end of the axis.

    Raises:
        MissingLibraryError: If Altair is not installed.
    """
    alt = _altair()
    x = alt.X(
        "start:Q",
        title=f"distance ({norm_name(norm)})",
        scale=alt.Scale(domain=[0, farthest], nice=False),
        axis=alt.Axis(tickCount=alt.expr(_TICKS)),
    )
    y = alt.Y("bottom:Q", axis=None, scale=alt.Scale(domain=[-histograms, 0], nice=False))
    color = alt.Color("color:N", scale=None, legend=None)
    bars = (
        alt.Chart(alt.NamedData(DISTANCES))
        .mark_rect(stroke=_PAPER, strokeWidth=0.5, opacity=0.85)
        .encode(x=x, x2="end:Q", y=y, y2="top:Q", color=color)
    )
    rows = alt.Chart(alt.NamedData(ROWS))
    floor = rows.mark_rule(color=_LINES).encode(y=y)
    median = rows.transform_filter("isValid(datum.median)")
    line = median.mark_rule(color=_TEXT, strokeWidth=1.5, strokeDash=[4, 2]).encode(
        x=alt.X("median:Q"), y=y, y2="top:Q"
    )
    names = rows.mark_text(
        align="left", baseline="top", dx=2, dy=3, color=_TEXT, fontSize=12, limit=alt.expr("width")
    ).encode(x=alt.value(0), y=alt.Y("name_top:Q"), text="name:N")
    return _finished(alt.layer(bars, floor, line, names), height=ROW_HEIGHT * histograms)


def _finished(chart: Any, height: int) -> dict[str, Any]:
    """Return a chart as JSON values, as wide as its element, in the colors of the page."""
    alt = _altair()
    chart = (
        chart.properties(
            width="container",
            height=height,
            padding=4,
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
        .configure(font=_FONT, background="transparent", aria=False)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=_MUTED,
            titleColor=_TEXT,
            gridColor=_LINES,
            domainColor=_LINES,
            tickColor=_LINES,
            labelFontSize=12,
            titleFontSize=13,
            titleFontWeight="normal",
            titlePadding=10,
        )
    )
    spec: dict[str, Any] = chart.to_dict()
    return spec


@cache
def script() -> str:
    """Return the JavaScript that draws the charts: Vega, Vega-Lite and Vega-Embed.

    Raises:
        MissingLibraryError: If Altair or vl-convert is not installed.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise _missing() from error
    version = ".".join(_altair().SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)
    return bundle


def _altair() -> Any:
    try:
        import altair as alt
    except ImportError as error:
        raise _missing() from error
    return alt


def _missing() -> MissingLibraryError:
    return MissingLibraryError("charts need Altair and vl-convert: pip install 'minnorm[report]'")
