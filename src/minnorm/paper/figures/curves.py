"""The kind `curves`: the accuracy under attack against the radius, from the runs of tables."""

from collections.abc import Collection, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from minnorm.evaluation import (
    Estimate,
    Records,
    accuracy_at,
    closest_records,
    robustness_curve,
)
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.records import join_records, samples_in
from minnorm.paper.claim_results import check_claims
from minnorm.paper.experiment import Experiment, Setting, options_of
from minnorm.paper.figures.curve_panels import CurvePanel, NetworkCurves, draw_curves
from minnorm.paper.figures.files import write_figure
from minnorm.paper.figures.used_rows import (
    check_same_images,
    notes_of,
    only_rows,
)
from minnorm.paper.measuring import MeasuredSetting, Options, all_runs, measure
from minnorm.paper.outcome import Outcome, Table
from minnorm.paper.rows import common_images, of_images
from minnorm.paper.tables import interval_text, numbers_of
from minnorm.report.figures.drawing import COLORS, import_matplotlib
from minnorm.report.texts import counted, decimals

_LOW = 0.01
"""The accuracy of the most robust network at which a panel ends, without another end."""


class CurvePanelOptions(BaseModel):
    """A panel.

    Attributes:
        title: Its title.
        networks: The names of its settings, and their names in the figure.
        attacks: The rows to draw; by default those over which the row `All` is.
        epsilons: Radii of a table, besides those of the paper's points.
        end: The largest radius shown; by default where hardly any accuracy is left.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    networks: dict[str, str] = Field(min_length=1)
    attacks: tuple[str, ...] = ()
    epsilons: tuple[float, ...] = ()
    end: float | None = None


class CurveOptions(BaseModel):
    """What an experiment of this kind says.

    Attributes:
        panels: The panels, from the left.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    panels: tuple[CurvePanelOptions, ...] = Field(min_length=1)


def curves(experiment: Experiment, options: Options) -> Outcome:
    """Measure what the panels need, and draw them."""
    import_matplotlib()
    own = options_of(experiment, CurveOptions)
    rows: dict[str, Collection[str]] = {
        setting.name: _rows_of(panel, setting)
        for panel in own.panels
        for setting in experiment.settings
        if setting.name in panel.networks
    }
    for panel in own.panels:
        check_same_images(experiment, panel.networks)
    settings = measure(only_rows(experiment, rows), options)
    named = {one.setting.name: one for one in settings}
    shown = [(one, panel_of(one, named)) for one in own.panels]
    drawn = [(one, panel) for one, panel in shown if panel.networks]
    figures: tuple[str, ...] = ()
    if drawn:
        panels = [panel for _, panel in drawn]
        figures = write_figure(
            options.folder(experiment), experiment.name, lambda: draw_curves(panels)
        )
    return Outcome(
        experiment=experiment,
        tables=tuple(table for one, panel in drawn if (table := accuracy_table(one, panel)).rows),
        claims=check_claims(experiment.claims, settings),
        figures=figures,
        notes=notes_of(settings, rows),
        runs=all_runs(settings),
        numbers=numbers_of(settings, ())
        | {"panels": [_values(one, panel) for one, panel in drawn]},
    )


def panel_of(panel: CurvePanelOptions, settings: Mapping[str, MeasuredSetting]) -> CurvePanel:
    """Return the curves of a panel, all over the images that each of its attacks has.

    Args:
        panel: What to draw.
        settings: What was measured, by the name of the setting.
    """
    found = [settings[name] for name in panel.networks if name in settings]
    parts = {
        one.setting.name: {row: one.of(row) for row in _rows_of(panel, one.setting) if one.has(row)}
        for one in found
    }
    images = common_images(part for rows in parts.values() for part in rows.values())
    networks = [
        _network(panel, one.setting, parts[one.setting.name], images)
        for one in found
        if parts[one.setting.name]
    ]
    return CurvePanel(
        title=f"{panel.title}, {counted(len(images), 'image')}",
        networks=networks,
        compares="networks" if len(panel.networks) > 1 else "attacks",
        end=panel.end or _end_of(networks),
    )


def _rows_of(panel: CurvePanelOptions, setting: Setting) -> tuple[str, ...]:
    """Return the names of the rows of a setting that a panel draws."""
    if panel.attacks:
        return panel.attacks
    return setting.combined.over if setting.combined is not None else ()


def _network(
    panel: CurvePanelOptions, setting: Setting, parts: Mapping[str, Records], images: Array
) -> NetworkCurves:
    attacks = {name: of_images(part, images) for name, part in parts.items()}
    complete = len(attacks) == len(_rows_of(panel, setting))
    figures = setting.combined.figures if setting.combined is not None else None
    return NetworkCurves(
        label=panel.networks[setting.name],
        color=COLORS[[*panel.networks].index(setting.name) % len(COLORS)],
        attacks=attacks,
        closest=closest_records(join_records(list(attacks.values()))) if complete else None,
        points={
            radius: percent / 100
            for radius, percent in (figures.accuracy.items() if figures is not None else ())
        },
    )


def _end_of(networks: Sequence[NetworkCurves]) -> float:
    """Return the radius from which no network has much accuracy left under its best attack."""
    ends = [0.0]
    for network in networks:
        parts = [*network.attacks.values()] if network.closest is None else [network.closest]
        for part in parts:
            radii, accuracy = robustness_curve(part)
            ends.append(float(radii[(accuracy > accuracy[-1] + _LOW).sum()]))
    return 1.05 * max(ends) or 1.0


def _radii_of(options: CurvePanelOptions, panel: CurvePanel) -> list[float]:
    points = {radius for network in panel.networks for radius in network.points}
    return sorted({*points, *options.epsilons})


def accuracy_table(options: CurvePanelOptions, panel: CurvePanel) -> Table:
    """Return the accuracy at some radii: of networks beside the paper's, or of attacks."""
    radii = _radii_of(options, panel)
    if len(options.networks) == 1:
        return Table(
            title=f"{panel.title}: accuracy % at a radius",
            columns=("attack", *(f"{radius:g}" for radius in radii)),
            rows=tuple(
                (name, *(_accuracy(records, radius) for radius in radii))
                for name, records in (panel.networks[0].attacks.items() if radii else ())
            ),
        )
    return Table(
        title=f"{panel.title}: accuracy % under the closest of the attacks",
        columns=("network", "radius", "ours", "the paper's", "difference"),
        rows=tuple(
            (network.label, f"{radius:g}", *_beside(network.closest, network.points, radius))
            for radius in radii
            for network in panel.networks
            if network.closest is not None
        ),
    )


def _accuracy(records: Records, radius: float) -> str:
    return interval_text(accuracy_at(records, radius), 100, 1, short=1)


def _beside(records: Records, points: Mapping[float, float], radius: float) -> tuple[str, str, str]:
    """Return our accuracy, the paper's, and the difference in points."""
    ours = accuracy_at(records, radius)
    if radius not in points:
        return interval_text(ours, 100, 1, short=1), "", ""
    paper = points[radius]
    difference = Estimate(*(value - paper for value in ours))
    return (
        interval_text(ours, 100, 1, short=1),
        decimals(100 * paper, 1),
        interval_text(difference, 100, 1, signed=True, short=1),
    )


def _values(options: CurvePanelOptions, panel: CurvePanel) -> dict[str, object]:
    """Return the curves of a panel at its radii, as JSON values."""
    return {
        "title": panel.title,
        "networks": [
            {
                "name": network.label,
                "images": samples_in(next(iter(network.attacks.values()))),
                "accuracies": [
                    {
                        "radius": radius,
                        "closest": None
                        if network.closest is None
                        else accuracy_at(network.closest, radius)._asdict(),
                        "paper": network.points.get(radius),
                        "attacks": {
                            name: accuracy_at(records, radius)._asdict()
                            for name, records in network.attacks.items()
                        },
                    }
                    for radius in _radii_of(options, panel)
                ],
            }
            for network in panel.networks
        ],
    }
