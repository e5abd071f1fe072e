"""What an experiment ends with: tables, claims, figures and numbers."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from minnorm.evaluation import Estimate, Evaluation
from minnorm.paper.claims import Claim
from minnorm.paper.experiment import Experiment

Verdict: TypeAlias = Literal["held", "not held", "not shown", "not measured"]
"""Whether a claim held: `not shown` if the interval includes both, `not measured` at this scale."""


@dataclass(frozen=True)
class ClaimResult:
    """A claim, and what was measured.

    Attributes:
        claim: The claim.
        verdict: Whether it held.
        numbers: What was measured, as one sentence.
        estimate: The number that decides, with its 95 % interval, if there is one.
        p_value: Of the paired test, if there is one.
    """

    claim: Claim
    verdict: Verdict
    numbers: str
    estimate: Estimate | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table of texts, for Markdown and the terminal alike.

    Attributes:
        title: Its title.
        columns: The names of the columns.
        rows: The cells of each row.
        texts: How many columns, from the first on, hold texts; the others hold numbers.
        notes: Sentences below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What an experiment ends with.

    Attributes:
        experiment: The experiment, at its scale.
        tables: Its tables.
        claims: Its claims, checked.
        figures: The names of the files in `Options.folder` that the kind has written.
        notes: Sentences for the page: differences from the paper, what did not run and why.
        runs: The runs that it is made of, for the report.
        numbers: What `results.json` has beside the claims and the configuration: JSON values.
    """

    experiment: Experiment
    tables: tuple[Table, ...] = ()
    claims: tuple[ClaimResult, ...] = ()
    figures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    runs: tuple[Evaluation, ...] = ()
    numbers: dict[str, Any] = field(default_factory=dict)
