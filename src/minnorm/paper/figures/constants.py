"""The kind `constants`: the best constants of C&W on two networks, and how far they spread.

The constant of an image is the C of eq. 5 with which C&W found its closest adversarial. An image
that is misclassified from the start needs none, and a failure has none: both are counted only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from minnorm.evaluation import Estimate, Records
from minnorm.evaluation.estimates import Array, share_of
from minnorm.evaluation.selection import values_of
from minnorm.paper.claim_parts import (
    estimate_text,
    not_measured,
    verdict_above,
    why_not_there,
)
from minnorm.paper.claim_results import check_claims
from minnorm.paper.claims import Own
from minnorm.paper.experiment import Experiment, options_of
from minnorm.paper.figures.constant_axes import draw_constants
from minnorm.paper.figures.files import write_figure
from minnorm.paper.figures.used_rows import (
    check_same_images,
    notes_of,
    only_rows,
)
from minnorm.paper.measuring import MeasuredSetting, Options, all_runs, measure
from minnorm.paper.outcome import ClaimResult, Outcome, Table
from minnorm.paper.tables import numbers_of
from minnorm.report.decisions.paired import mcnemar
from minnorm.report.decisions.pairs import PairedValues
from minnorm.report.figures.drawing import import_matplotlib
from minnorm.report.texts import counted

_RESAMPLES = 2000
"""The number of resamples of the bootstrap."""

_FEWEST = 6
"""The images from which the bootstrap says anything."""

_QUARTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class NetworkOptions(BaseModel):
    """A network.

    Attributes:
        setting: The name of its setting.
        attack: The row of C&W.
        label: Its name in the figure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    setting: str
    attack: str
    label: str


class ConstantOptions(BaseModel):
    """What an experiment of this kind says.

    Attributes:
        networks: The plain network, and the one that was trained against attacks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    networks: tuple[NetworkOptions, ...] = Field(min_length=2, max_length=2)


@dataclass(frozen=True)
class Constants:
    """The best constants of C&W on a network.

    Attributes:
        label: The name of the network.
        images: The image of each constant.
        logarithms: The base 2 logarithm of each constant.
        misclassified: The number of images that need no attack.
        failed: The number of images without an adversarial.
    """

    label: str
    images: Array
    logarithms: Array
    misclassified: int
    failed: int


def constants(experiment: Experiment, options: Options) -> Outcome:
    """Read the constants from the runs of C&W, and draw their histograms."""
    import_matplotlib()
    own = options_of(experiment, ConstantOptions)
    rows = {network.setting: (network.attack,) for network in own.networks}
    check_same_images(experiment, rows)
    settings = measure(only_rows(experiment, rows), options)
    named = {one.setting.name: one for one in settings}
    found, lacking = [], []
    for one in own.networks:
        measured = named.get(one.setting)
        if measured is not None and measured.has(one.attack):
            found.append(constants_of(measured.of(one.attack), one.label))
        elif measured is not None:
            lacking.append(why_not_there(measured, one.attack))
    figures: tuple[str, ...] = ()
    if any(len(one.logarithms) > 0 for one in found):
        shown = {one.label: one.logarithms for one in found}
        figures = write_figure(
            options.folder(experiment), experiment.name, lambda: draw_constants(shown)
        )
    return Outcome(
        experiment=experiment,
        tables=(_table(found),) if found else (),
        claims=(
            *check_claims(experiment.claims, settings),
            *(
                not_measured(claim, lacking[0]) if lacking else check_own(claim, found)
                for claim in experiment.claims
                if isinstance(claim, Own)
            ),
        ),
        figures=figures,
        notes=(*_notes(own, named), *notes_of(settings, rows)),
        runs=all_runs(settings),
        numbers=numbers_of(settings, ()) | {"constants": [_values(one) for one in found]},
    )


def _notes(own: ConstantOptions, settings: Mapping[str, MeasuredSetting]) -> Iterator[str]:
    """Yield which C&W ran on each network, and whether that is the same."""
    specs = {
        f"{one.setting}: {row.name}": row.attack
        for one in own.networks
        if one.setting in settings
        for row in settings[one.setting].setting.attacks
        if row.name == one.attack
    }
    if len(set(specs.values())) > 1:
        yield "C&W had other parameters on each network, which may change its constants, too."
    for name, spec in specs.items():
        yield f"{name} is {spec}."


def constants_of(records: Records, label: str) -> Constants:
    """Return the constants of the records of C&W.

    Args:
        records: The records.
        label: The name of the network.
    """
    values = values_of(records, "constant")
    needed = values > 0
    found = needed & np.isfinite(values)
    return Constants(
        label=label,
        images=values_of(records, "index")[found],
        logarithms=np.log2(values[found]),
        misclassified=int((values == 0).sum()),
        failed=int(np.isinf(values).sum()),
    )


def spread_difference(plain: Constants, trained: Constants) -> Estimate:
    """Return by how much the standard deviation of log2 C is larger on the trained network.

    It is over the images that have a constant on both networks. The interval is that of a bootstrap
    over these images; infinite for fewer than 6, or if it is the same for all resamples.
    """
    first, second = paired(plain, trained)
    if len(first) < _FEWEST:
        return Estimate(_spread(second) - _spread(first), -np.inf, np.inf)
    draws = np.random.default_rng(0).integers(len(first), size=(_RESAMPLES, len(first)))
    changes = second[draws].std(axis=1, ddof=1) - first[draws].std(axis=1, ddof=1)
    low, high = np.quantile(changes, [0.025, 0.975]).tolist()
    if low == high:
        low, high = -np.inf, np.inf
    return Estimate(_spread(second) - _spread(first), low, high)


def paired(first: Constants, second: Constants) -> tuple[Array, Array]:
    """Return the logarithms of the images that have a constant on both networks, image by image."""
    _, one, other = np.intersect1d(
        first.images, second.images, assume_unique=True, return_indices=True
    )
    return first.logarithms[one], second.logarithms[other]


def _spread(logarithms: Array) -> float:
    return float(logarithms.std(ddof=1)) if len(logarithms) > 1 else float("nan")


def check_own(claim: Own, found: Sequence[Constants]) -> ClaimResult:
    """Check a claim about the constants: `wider` or `larger` on the trained network.

    Args:
        claim: The claim.
        found: The constants of the plain network, and of the trained one.
    """
    if len(found) < 2 or len(paired(*found)[0]) < 2:
        return not_measured(claim, "C&W has found too few adversarials on both networks")
    if claim.name == "wider":
        return _wider(claim, *found)
    if claim.name == "larger":
        return _larger(claim, *found)
    return not_measured(claim, f"no claim about constants is named {claim.name!r}")


def _wider(claim: Own, plain: Constants, trained: Constants) -> ClaimResult:
    change = spread_difference(plain, trained)
    first, second = paired(plain, trained)
    numbers = (
        f"standard deviation of log2 C: {_spread(second):.2f} ({trained.label}) and "
        f"{_spread(first):.2f} ({plain.label}), difference {estimate_text(change, 2, sign='+')}, "
        f"over {counted(len(first), 'image')}"
    )
    return ClaimResult(claim, verdict_above(change, 0), numbers, change)


def _larger(claim: Own, plain: Constants, trained: Constants) -> ClaimResult:
    first, second = paired(plain, trained)
    differ = first != second
    if not differ.any():
        return not_measured(claim, f"C is the same on all {counted(len(first), 'image')}")
    share = share_of((second > first)[differ], np.arange(int(differ.sum())))
    ratio = float(np.median(second - first))
    numbers = (
        f"C is larger on {estimate_text(share, 1, 100)} % of the "
        f"{counted(int(differ.sum()), 'image')} for which it differs ({trained.label} beside "
        f"{plain.label}); the median ratio is 2^{ratio:.1f}"
    )
    images = np.arange(len(first))
    p_value = mcnemar(PairedValues(first > second, second > first, images))
    return ClaimResult(claim, verdict_above(share, 0.5), numbers, share, p_value)


def _table(found: Sequence[Constants]) -> Table:
    return Table(
        title="log2 of the best constant C",
        columns=(
            *("network", "smallest", "lower quartile", "median", "upper quartile", "largest"),
            *("standard deviation", "images", "misclassified", "failed"),
        ),
        rows=tuple(
            (
                one.label,
                *(_number(value) for value in (*_quartiles(one), _spread(one.logarithms))),
                *(f"{count:,}" for count in (len(one.images), one.misclassified, one.failed)),
            )
            for one in found
        ),
        notes=(
            "In the paper, the constants of both networks together are from 2^-11 to 2^5.",
            "An image that is misclassified from the start needs no constant, and an image without "
            "an adversarial has none. The claims are over the images with a constant on both "
            "networks.",
        ),
    )


def _number(value: float) -> str:
    """Return a number with two digits; nothing for one that is unknown."""
    return "" if np.isnan(value) else f"{value:.2f}"


def _quartiles(one: Constants) -> list[float]:
    if len(one.logarithms) == 0:
        return [float("nan")] * len(_QUARTILES)
    values: list[float] = np.quantile(one.logarithms, _QUARTILES).tolist()
    return values


def _values(one: Constants) -> dict[str, object]:
    return {
        "network": one.label,
        "quartiles": _quartiles(one),
        "standard_deviation": _spread(one.logarithms),
        "images": len(one.images),
        "misclassified": one.misclassified,
        "failed": one.failed,
    }
