"""Requirements in words: `accuracy@0.5 >= 60%`, `median_l2 of ddn >= 0.8`.

    REQUIREMENT   METRIC [of ATTACK] RELATION NUMBER
    METRIC        clean_accuracy, accuracy@RADIUS, median, mean or success; all but the first also
                  with a norm: accuracy_linf@8/255, median_l2
    RELATION      >=, >, <= or <
    NUMBER        0.6, 60% (of a share) or 8/255

Without an attack, the closest adversarials over all attacks of the run count.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

from minnorm import specs
from minnorm.errors import InputError
from minnorm.geometry import Norm, read_norm
from minnorm.report.texts import radius_text

Kind: TypeAlias = Literal["clean_accuracy", "accuracy", "median", "mean", "success"]
"""What is measured."""

Relation: TypeAlias = Literal[">=", ">", "<=", "<"]

KINDS: tuple[Kind, ...] = get_args(Kind)

_SHARES = ("clean_accuracy", "accuracy", "success")

_SIGNS = re.compile(r"[<>=!~≥≤⩾⩽]+(\s+=)?")
"""A relation, or what looks like one."""

_SPELLINGS = str.maketrans({"≥": ">=", "⩾": ">=", "≤": "<=", "⩽": "<=", " ": ""})

_FLIPPED = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}

_ARGUMENTS = re.compile(r"\([^()]*\)")
"""The arguments of an attack, which may hold signs of their own."""

_WORDS = re.compile(
    r"(?<=[^\s@])\s+(?P<word>(is\s+)?at (least|most)|is|[gl][et])?\s*(?P<number>[\d./]+\s*%?)\s*$"
)
"""A number behind a metric, without a sign."""

_LEAST_FLOOR = 0.01
"""The share from which a floor in percent is taken as it is."""

_EXAMPLE = "for example 'accuracy@0.5 >= 0.6'"


@dataclass(frozen=True)
class Metric:
    """What a requirement is about.

    Attributes:
        kind: What is measured.
        norm: The norm of the distances; `None` for the one that the attacks minimize.
        radius: The radius of an accuracy under attack.
        attack: The attack; `None` for the closest adversarials over all attacks.
    """

    kind: Kind
    norm: Norm | None = None
    radius: float | None = None
    attack: str | None = None

    @property
    def is_share(self) -> bool:
        """Whether it is a share of samples, from 0 to 1, and not a distance."""
        return self.kind in _SHARES

    @property
    def rises(self) -> bool:
        """Whether a larger number is a more robust model."""
        return self.kind != "success"

    def __str__(self) -> str:
        """Return the metric in words, as `read_metric` reads them."""
        text = self.kind + (f"_{self.norm}" if self.norm else "")
        text += f"@{radius_text(self.radius)}" if self.radius is not None else ""
        return f"{text} of {self.attack}" if self.attack else text


@dataclass(frozen=True)
class Requirement:
    """A limit for a metric, or for how it changes from a baseline.

    Attributes:
        metric: What is measured.
        relation: How it must compare with the threshold.
        threshold: The limit: a share from 0 to 1, or a distance. Of a change: a difference of
            shares, or the relative change of a distance.
        is_change: Whether the limit is for the change from a baseline.
    """

    metric: Metric
    relation: Relation
    threshold: float
    is_change: bool = False

    @property
    def is_floor(self) -> bool:
        """Whether the threshold is the least that is required, and not the most."""
        return self.relation in (">=", ">")

    @property
    def worst_and_best(self) -> tuple[float, float]:
        """The ends of the range of the metric, or of its change."""
        least = -1.0 if self.is_change else 0.0
        most = 1.0 if self.metric.is_share else math.inf
        return (least, most) if self.is_floor else (most, least)

    def holds_for(self, value: float) -> bool:
        """Return whether a number fulfills the requirement; NaN never does."""
        return {
            ">=": value >= self.threshold,
            ">": value > self.threshold,
            "<=": value <= self.threshold,
            "<": value < self.threshold,
        }[self.relation]

    def __str__(self) -> str:
        """Return the requirement in words."""
        percent = f"{100 * abs(self.threshold):.6g}%"
        if self.is_change:
            unit = " points" if self.metric.is_share else "%"
            side = "below" if self.is_floor else "above"
            return f"{self.metric} at most {percent[:-1]}{unit} {side} the baseline"
        limit = percent if self.metric.is_share else f"{self.threshold:.6g}"
        return f"{self.metric} {self.relation} {limit}"


def no_worse(metric: Metric, margin: float) -> Requirement:
    """Return the requirement that a metric is not worse than that of a baseline by a margin.

    Args:
        metric: The metric.
        margin: The margin, at least 0: a difference of shares, or a relative change of distances.
    """
    if metric.rises:
        return Requirement(metric, ">=", -margin, is_change=True)
    return Requirement(metric, "<=", margin, is_change=True)


def read(text: str) -> Requirement | Metric:
    """Read a requirement, or a metric alone.

    Raises:
        InputError: If it cannot be read; the message says which part, and what was expected.
    """
    return read_requirement(text) if _compares(text) else read_metric(text)


def read_requirement(text: str) -> Requirement:
    """Read a requirement.

    Raises:
        InputError: If it cannot be read; the message says which part, and what was expected.
    """
    found = list(_SIGNS.finditer(_without_arguments(text)))
    if not found:
        raise InputError(_without_relation(text))
    if len(found) > 1 and " of " not in text:  # the name of an attack may have signs
        raise InputError(
            f"the requirement {text!r} compares more than once: write a requirement for each."
        )
    start, end = found[-1].span()
    left, word, sign = text[:start].strip(), text[end:].strip(), text[start:end]
    relation = sign.translate(_SPELLINGS)
    if relation not in _FLIPPED:
        meant = f"{left} {'<=' if '<' in relation else '>='} {word}"
        raise InputError(
            f"the requirement {text!r} compares with {sign}: expected >=, >, <= or <. "
            f"Did you mean {meant!r}?"
        )
    if _share(left) is not None:
        meant = f"{word} {_FLIPPED[relation]} {left}"
        raise InputError(
            f"the requirement {text!r}: the metric stands first. Did you mean {meant!r}?"
        )
    metric = read_metric(left)
    number, of, attack = word.partition(" of ")
    if of:
        meant = f"{left} of {attack.strip()} {relation} {number}"
        raise InputError(
            f"the requirement {text!r}: the attack stands before the {relation}. "
            f"Did you mean {meant!r}?"
        )
    requirement = Requirement(metric, cast("Relation", relation), _threshold(word, metric, text))
    _check_percent(requirement, word, text)
    return requirement


def read_metric(text: str) -> Metric:
    """Read a metric.

    Raises:
        InputError: If it cannot be read.
    """
    words, _, attack = (part.strip() for part in text.strip().partition(" of "))
    name, at, radius = (part.strip() for part in words.partition("@"))
    if not name:
        raise InputError(f"{text.strip()!r} names no metric: write one, {_EXAMPLE}.")
    kind, norm = _kind_and_norm(name)
    if kind == "accuracy" and not at:
        raise InputError(
            f"{words!r} needs a radius: write {name}@0.5 for the accuracy under attack within 0.5, "
            "or clean_accuracy for the accuracy without any."
        )
    if kind != "accuracy" and at:
        raise InputError(f"{words!r}: only accuracy has a radius, for example accuracy@{radius}.")
    return Metric(kind, norm, _radius(radius, words) if at else None, attack or None)


def read_share(text: str) -> float:
    """Return the number that a text stands for, also with `%`.

    Raises:
        InputError: If it is no number.
    """
    stripped = text.strip()
    if stripped.endswith("%"):
        return specs.read_number(stripped[:-1].strip()) / 100
    return specs.read_number(stripped)


def read_margin(text: str) -> float:
    """Return a margin, for example `2%`.

    Raises:
        InputError: If it is not a number from 0 to 1.
    """
    margin = _share(text)
    if margin is None or not 0 <= margin < 1:
        raise InputError(
            f"the margin {text!r}: expected a share such as 0.02 or 2%.{_as_percent(text, 1, 100)}"
        )
    return margin


def read_confidence(text: str) -> float | None:
    """Return a confidence, for example `0.95` or `95%`; `None` for `none`.

    Raises:
        InputError: If it is not a number between 0 and 1.
    """
    if text.strip().lower() == "none":
        return None
    confidence = _share(text)
    if confidence is None or not 0 < confidence < 1:
        raise InputError(
            f"the confidence {text!r}: expected a share such as 0.95 or 95%, or none."
            f"{_as_percent(text, 50, 100)}"
        )
    return confidence


def _as_percent(text: str, least: float, below: float) -> str:
    """Return the question whether a number that is too large is meant in percent, or nothing."""
    share = _share(text)
    is_meant = share is not None and not text.strip().endswith("%") and least <= share < below
    return f" Did you mean {text.strip()}%?" if is_meant else ""


def _share(text: str) -> float | None:
    """Return the number that a text stands for, also with `%`; `None` if it is no number."""
    try:
        return read_share(text)
    except InputError:
        return None


def _kind_and_norm(name: str) -> tuple[Kind, Norm | None]:
    """Split a name such as `accuracy_linf`."""
    for kind in KINDS:
        if name == kind:
            return kind, None
        if kind != "clean_accuracy" and name.startswith(f"{kind}_"):
            return kind, read_norm(name.removeprefix(f"{kind}_"))
    return cast("Kind", specs.choose(name, KINDS, "metric")), None


def _radius(text: str, words: str) -> float:
    try:
        radius = specs.read_number(text)
    except InputError as error:
        raise InputError(f"the radius of {words!r}: {error}") from error
    if not 0 <= radius < math.inf:
        raise InputError(f"the radius of {words!r}: expected a finite number of at least 0.")
    return radius


def _threshold(word: str, metric: Metric, text: str) -> float:
    """Return the number of a requirement."""
    limit = f"the limit of the requirement {text!r}"
    threshold = _share(word)
    if threshold is None:
        like = (
            "a share such as 0.6 or 60%" if metric.is_share else "a distance such as 0.8 or 8/255"
        )
        raise InputError(f"{limit}: {word!r} is not a number: write {like}, and no other unit.")
    if metric.is_share and not 0 <= threshold <= 1:
        raise InputError(
            f"{limit}: expected a share from 0 to 1, or from 0% to 100%."
            f"{_as_percent(word, 1, 100.001)}"
        )
    if not metric.is_share and (word.endswith("%") or not 0 <= threshold < math.inf):
        raise InputError(f"{limit}: expected a finite distance of at least 0, without a unit.")
    return threshold


def _check_percent(requirement: Requirement, word: str, text: str) -> None:
    """Check that a floor such as `0.6%`, which every model meets, is not meant as 60 %."""
    is_tiny = 0 < requirement.threshold < _LEAST_FLOOR and word.endswith("%")
    if is_tiny and requirement.is_floor and requirement.metric.rises:
        number = word.removesuffix("%").strip()
        raise InputError(
            f"the limit of the requirement {text!r} is less than 1 %. Did you mean {number}, which "
            f"is {1e4 * requirement.threshold:g}%? If not, write {requirement.threshold:.6g}."
        )


def _without_arguments(text: str) -> str:
    """Return a text of the same length with the arguments of attacks blanked out."""
    shorter = _ARGUMENTS.sub(lambda found: "_" * len(found[0]), text)
    return shorter if shorter == text else _without_arguments(shorter)


def _compares(text: str) -> bool:
    """Return whether a text compares something, in whatever way."""
    return bool(_SIGNS.search(_without_arguments(text)) or _WORDS.search(text))


def _without_relation(text: str) -> str:
    """Return what is wrong with a requirement that has no sign."""
    words = _WORDS.search(text)
    if words is None:
        return (
            f"the requirement {text!r} has no limit: expected >=, >, <= or < and a number, "
            f"{_EXAMPLE}."
        )
    word = words["word"] or ""
    relation = {"most": "<=", "le": "<=", "lt": "<", "gt": ">"}.get(word.split(" ")[-1], ">=")
    meant = f"{text[: words.start()].strip()} {relation} {words['number'].strip()}"
    return (
        f"the requirement {text!r} has no relation: expected >=, >, <= or <. "
        f"Did you mean {meant!r}?"
    )
