"""The kind `examples`: adversarials of several networks, from the nearest to the farthest."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from pydantic import BaseModel, ConfigDict, Field

from minnorm.paper.experiment import Experiment, options_of
from minnorm.paper.figures.example_axes import Example, ExamplePanel, ExampleRow, draw_rows
from minnorm.paper.figures.files import write_figure
from minnorm.paper.figures.used_rows import notes_of, only_rows
from minnorm.paper.measuring import MeasuredSetting, Options, all_runs, measure
from minnorm.paper.outcome import Outcome, Table
from minnorm.paper.tables import numbers_of
from minnorm.report.facts.classes import class_name
from minnorm.report.facts.gallery import gallery
from minnorm.report.figures.drawing import import_matplotlib
from minnorm.report.runs import LabeledRun


class ExamplePanelOptions(BaseModel):
    """A panel: a row of images for each network.

    Attributes:
        title: Its title.
        networks: The names of its settings, and their names in the figure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    networks: dict[str, str] = Field(min_length=1)


class ExamplesOptions(BaseModel):
    """What an experiment of this kind says.

    Attributes:
        attack: The row whose adversarials are shown.
        columns: The images of each network, evenly chosen by rank of their norms.
        panels: The panels, from the top.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    attack: str
    columns: int = Field(ge=2)
    panels: tuple[ExamplePanelOptions, ...] = Field(min_length=1)


def examples(experiment: Experiment, options: Options) -> Outcome:
    """Choose adversarials of each network, and draw them beside each other."""
    import_matplotlib()
    own = options_of(experiment, ExamplesOptions)
    rows: dict[str, Collection[str]] = {
        name: (own.attack,) for panel in own.panels for name in panel.networks
    }
    settings = measure(only_rows(experiment, rows), options)
    named = {one.setting.name: one for one in settings if one.has(own.attack)}
    every = [_panel(panel, own, named) for panel in own.panels]
    without = [
        f"{panel.title}, {row.label}: {own.attack} has found no adversarial to show."
        for panel in every
        for row in panel.rows
        if not row.examples
    ]
    panels = [_shown(panel) for panel in every if any(row.examples for row in panel.rows)]
    figures: tuple[str, ...] = ()
    if panels:
        figures = write_figure(
            options.folder(experiment), experiment.name, lambda: draw_rows(panels)
        )
    shown = [(panel, row) for panel in panels for row in panel.rows]
    return Outcome(
        experiment=experiment,
        tables=tuple(_table(panel) for panel in panels),
        figures=figures,
        notes=(*without, *notes_of(settings, rows)),
        runs=all_runs(settings),
        numbers=numbers_of(settings, ())
        | {
            "examples": [
                {
                    "panel": panel.title,
                    "network": row.label,
                    "adversarials": row.of,
                    "shown": [
                        {"image": one.index, "norm": one.norm, "from": one.before, "to": one.after}
                        for one in row.examples
                    ],
                }
                for panel, row in shown
            ]
        },
    )


def _panel(
    panel: ExamplePanelOptions, own: ExamplesOptions, settings: Mapping[str, MeasuredSetting]
) -> ExamplePanel:
    rows = [
        example_row(settings[name], own.attack, label, own.columns)
        for name, label in panel.networks.items()
        if name in settings
    ]
    return ExamplePanel(panel.title, tuple(rows))


def _shown(panel: ExamplePanel) -> ExamplePanel:
    """Return a panel without the rows that have no examples."""
    return replace(panel, rows=tuple(row for row in panel.rows if row.examples))


def example_row(measured: MeasuredSetting, attack: str, label: str, columns: int) -> ExampleRow:
    """Return adversarials of a network, evenly chosen by rank of their norms.

    Args:
        measured: The network's runs, which have kept the adversarials.
        attack: The attack.
        label: The name of the network.
        columns: The number of adversarials.
    """
    run = LabeledRun(label, measured.run_of(attack))
    shown = gallery(run, columns, "l2", attack)
    return ExampleRow(
        label=label,
        of=shown.of,
        examples=tuple(
            Example(
                index=item.index,
                norm=item.distance,
                before=class_name(run, item.label),
                after=class_name(run, item.adversarial_prediction),
                picture=item.adversarial,
            )
            for item in shown.items
        ),
    )


def _table(panel: ExamplePanel) -> Table:
    """Return the norms and classes of the images of a panel."""
    columns = max(len(row.examples) for row in panel.rows)
    return Table(
        title=f"{panel.title}: norm, and class before and after the attack",
        columns=("network", "adversarials", *map(str, range(1, columns + 1))),
        rows=tuple(
            (
                row.label,
                f"{row.of:,}",
                *(f"{one.norm:.3f}, {one.before} to {one.after}" for one in row.examples),
                *[""] * (columns - len(row.examples)),
            )
            for row in panel.rows
        ),
    )
