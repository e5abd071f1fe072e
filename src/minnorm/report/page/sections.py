"""The parts of the page as texts and numbers, ready for the template."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from minnorm.evaluation import clean_accuracy, median_distance
from minnorm.evaluation.metrics import accuracies_at, search_limit
from minnorm.evaluation.records import norms_in
from minnorm.geometry import Norm
from minnorm.report import texts
from minnorm.report.facts.classes import ClassRow, Flows, class_name, flows, per_class
from minnorm.report.facts.default_radii import default_radii
from minnorm.report.facts.gallery import Gallery, GalleryItem, gallery
from minnorm.report.findings.findings import Finding, findings
from minnorm.report.page.provenance import Provenance, provenance
from minnorm.report.page.statement import statement
from minnorm.report.parts import closest_part
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import norm_name, radius_text

MOST_TILES = 3
"""The most radii whose accuracy is shown in large digits."""

HEAT_LEVELS = 4
"""The number of shades of the table of flows."""


@dataclass(frozen=True)
class Tile:
    """A number in large digits, with what it is and its interval."""

    label: str
    value: str
    interval: str


@dataclass(frozen=True)
class Card:
    """The summary of a run.

    Attributes:
        id: Where to find the run on the page.
        label: The label of the run.
        tiles: The most important numbers, by the norm in which they are measured.
        sentences: What was measured, in words.
        problems: The number of findings that may make the numbers wrong.
        notes: The number of other findings.
    """

    id: str
    label: str
    tiles: dict[str, list[Tile]]
    sentences: list[str]
    problems: int
    notes: int


@dataclass(frozen=True)
class Picture:
    """An item of the gallery with the names of its classes."""

    item: GalleryItem
    label: str
    before: str
    after: str
    target: str | None
    distance: str
    magnification: str
    pixels: bool


@dataclass(frozen=True)
class Panel:
    """What the page shows of one run alone."""

    id: str
    label: str
    norm: str
    radii: list[str]
    gallery: Gallery
    pictures: list[Picture]
    classes: list[ClassRow]
    flows: Flows | None
    heat: list[list[int]]
    findings: list[Finding]
    provenance: Provenance


def norms_of(runs: Sequence[LabeledRun], norm: Norm | None) -> list[Norm]:
    """Return the norms in which the runs are measured: the given one, or all of the attacks."""
    if norm is not None:
        return [norm]
    found = dict.fromkeys(one for run in runs for one in norms_in(run.run.records))
    return list(found) or ["l2"]


def radii_by_norm(
    runs: Sequence[LabeledRun], norms: Sequence[Norm], epsilons: Sequence[float]
) -> dict[Norm, list[float]]:
    """Return the radii of accuracies: those that are given, or else a few suitable ones."""
    given = sorted(set(epsilons))
    return {
        norm: given
        or default_radii([run for run in runs if norm in _norms(run, norms)] or runs, norm)
        for norm in norms
    }


def card(run: LabeledRun, about: Panel, radii: dict[Norm, list[float]]) -> Card:
    """Return the summary of a run.

    Args:
        run: The run.
        about: The part of the page about it.
        radii: The radii of the accuracies, by norm.
    """
    own = _norms(run, list(radii))
    sentences = [line for norm in own for line in statement(run, radii[norm], norm)]
    problems = sum(finding.level == "problem" for finding in about.findings)
    tiles = {norm_name(norm): _tiles(run, norm, radii[norm]) for norm in own}
    for repeated in list(tiles)[1:]:  # the clean accuracy is the same in all norms
        del tiles[repeated][:1]
    return Card(
        about.id,
        run.label,
        tiles,
        list(dict.fromkeys(sentences)),
        problems,
        len(about.findings) - problems,
    )


def panel(run: LabeledRun, number: int, radii: dict[Norm, list[float]], size: int) -> Panel:
    """Return what the page shows of one run alone, in its main norm.

    Args:
        run: The run.
        number: Its number on the page.
        radii: The radii of the accuracies, by norm.
        size: The largest number of images in the gallery.
    """
    norm = _norms(run, list(radii))[0]
    shown, counted = gallery(run, size, norm), flows(run, norm)
    return Panel(
        f"run-{number}",
        run.label,
        norm_name(norm),
        [radius_text(radius) for radius in radii[norm]],
        shown,
        [_picture(run, item) for item in shown.items],
        per_class(run, radii[norm], norm),
        counted,
        [] if counted is None else _heat(counted),
        findings(run),
        provenance(run),
    )


def _norms(run: LabeledRun, norms: Sequence[Norm]) -> list[Norm]:
    """Return those norms that attacks of a run minimize; if none does, all: distances exist."""
    own = norms_in(run.run.records)
    return [norm for norm in norms if norm in own] or list(norms)


def _tiles(run: LabeledRun, norm: Norm, radii: Sequence[float]) -> list[Tile]:
    if len(run.run.records) == 0:
        return []
    records = closest_part(run, norm)
    clean = clean_accuracy(records)
    shown = radii[:MOST_TILES]
    median, limit = median_distance(records, norm), search_limit(records, norm)
    return [
        Tile(
            "clean accuracy",
            texts.percent(clean.value),
            texts.percent_interval(clean),
        ),
        *(
            Tile(
                f"robust accuracy at {norm_name(norm)} radius {radius_text(radius)}",
                texts.percent_of(found),
                texts.percent_interval(found),
            )
            for radius, found in zip(shown, accuracies_at(records, shown, norm), strict=True)
        ),
        Tile(
            f"median {norm_name(norm)} distance",
            texts.distance_of(median, limit),
            texts.distance_interval(median, limit),
        ),
    ]


def _picture(run: LabeledRun, item: GalleryItem) -> Picture:
    return Picture(
        item,
        class_name(run, item.label),
        _class(run, item.clean_prediction),
        _class(run, item.adversarial_prediction),
        None if item.target is None else class_name(run, item.target),
        texts.distance(item.distance),
        f"{item.magnification:.3g}",
        _png_width(item.original) < 100,
    )


def _class(run: LabeledRun, label: int) -> str:
    """Return the name of a class, or its number in words if the run does not know the name."""
    if label < 0:
        return "no class (NaN)"
    return class_name(run, label) if run.run.classes else f"class {label}"


def _png_width(png: bytes) -> int:
    """Return the width of an image, which a PNG file has in its first chunk."""
    return int.from_bytes(png[16:20], "big")


def _heat(found: Flows) -> list[list[int]]:
    """Return the shade of each cell: 0 for none, `HEAT_LEVELS` for the largest count."""
    largest = max(int(found.counts.max()), 1)
    return [
        [math.ceil(HEAT_LEVELS * int(count) / largest) for count in row] for row in found.counts
    ]
