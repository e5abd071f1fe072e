"""The tables over attacks on the page, one for each norm."""

from collections.abc import Sequence
from dataclasses import dataclass

from minnorm.evaluation import accuracy_at, norm_of_records, summarize
from minnorm.geometry import Norm
from minnorm.report import number_texts
from minnorm.report.charts import norm_name
from minnorm.report.parts import attack_parts
from minnorm.report.runs import LabeledRun
from minnorm.report.tables import radius_text


@dataclass(frozen=True)
class Column:
    """A column: its name, whether it holds text, and whether that may be long."""

    name: str
    is_text: bool = False
    is_wide: bool = False


@dataclass(frozen=True)
class Cell:
    """A number as text, with its interval."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class Row:
    """The cells of an attack, and whether it is the closest of all attacks."""

    cells: list[Cell]
    strong: bool


@dataclass(frozen=True)
class AttackTable:
    """The results of attacks in one norm."""

    name: str
    caption: str
    columns: list[Column]
    rows: list[Row]


def attack_tables(
    runs: Sequence[LabeledRun], radii: dict[Norm, list[float]], norm: Norm | None
) -> tuple[list[AttackTable], list[str]]:
    """Return a table for each norm, and the notes on all of them."""
    tables = []
    several = len(runs) > 1
    for one, epsilons in radii.items():
        rows = []
        for run in runs:
            parts = attack_parts(run, norm)
            for name, part in parts.items():
                if norm_of_records(part, norm) != one:
                    continue
                s = summarize(part, name, one)
                cells = [Cell(run.label)] if several else []
                cells += [
                    Cell(name),
                    Cell(
                        number_texts.percent(s.success.value),
                        number_texts.percent_interval(s.success),
                    ),
                    Cell(
                        number_texts.distance(s.median.value, s.radius_limit),
                        number_texts.distance_interval(s.median, s.radius_limit),
                    ),
                ]
                for epsilon in epsilons:
                    a = accuracy_at(part, epsilon, one)
                    cells.append(
                        Cell(number_texts.percent(a.value), number_texts.percent_interval(a))
                    )
                cells += [
                    Cell(f"{s.backwards:,.0f}"),
                    Cell(f"{s.forwards:,.0f}"),
                    Cell(f"{s.seconds:.1f}"),
                ]
                rows.append(Row(cells, strong=name.startswith("worst case")))
        columns = ([Column("model", True)] if several else []) + [
            Column("attack", True, True),
            Column("success"),
            Column(f"median {norm_name(one)}"),
            *(Column(f"robust at {radius_text(e)}") for e in epsilons),
            Column("gradients"),
            Column("forward passes"),
            Column("seconds"),
        ]
        tables.append(AttackTable(norm_name(one), f"In {norm_name(one)}", columns, rows))
    return tables, ["Below each number: its 95 % confidence interval."]
