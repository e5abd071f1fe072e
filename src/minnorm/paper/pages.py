"""The results of an experiment as a Markdown page, as tables for the terminal, and as numbers."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from rich import table as rich_table
from rich.console import Console

from minnorm.evaluation import Evaluation
from minnorm.models.names import shown_spec
from minnorm.paper.experiment import Experiment
from minnorm.paper.outcome import ClaimResult, Outcome, Table
from minnorm.report.tables.formats import json_value
from minnorm.report.tables.markdown import escaped, markdown_table
from minnorm.runtime import provenance

_SCALES = {
    "paper": "the full protocol",
    "cpu": "what two cores do in a night",
    "smoke": "a few images, and attacks of fewer steps than their names say; it shows that "
    "everything runs, and nothing else",
}

_ANY_WIDTH = 10_000

_WORD = 16
"""Words in a narrow table are not broken up to this length."""

_NO_BREAK = "\N{NO-BREAK SPACE}"

_INTERVAL = re.compile(r"\[[-+\d.,∞]+, [-+\d.,∞]+\](?: %)?")
"""An interval with its unit."""

_CELL = re.compile(r"^(\S+) (\[.+\])( %)?$")
"""A number, its interval, and the unit of both."""

_BELOW = re.compile(r"^\|  +([^|\s].*?) \|", re.MULTILINE)
"""The first cell of a row that belongs to the row above it: the text is indented."""


def to_markdown(outcome: Outcome, command: str) -> str:
    """Return the page of an experiment.

    Args:
        outcome: The results.
        command: The command that repeats them.
    """
    return "\n\n".join(_blocks(outcome, command)) + "\n"


def to_tables(outcome: Outcome, width: int) -> Iterator[rich_table.Table]:
    """Yield the tables of an experiment for the terminal, that of the claims last.

    Args:
        outcome: The results.
        width: The width of the terminal. In a table that is wider, intervals are below the numbers,
            and its last columns are left out if that is not enough.
    """
    for table in outcome.tables:
        yield _fitted(table, width)
    if outcome.claims:
        yield _terminal_table(claims_table(outcome.claims))


def to_json(outcome: Outcome, command: str) -> str:
    """Return the numbers of an experiment as JSON in full precision, with where they come from.

    Args:
        outcome: The results.
        command: The command that repeats them.
    """
    experiment, runs = outcome.experiment, outcome.runs
    content = {
        "experiment": experiment.name,
        "scale": experiment.scale,
        "title": experiment.title,
        "command": command,
        **outcome.numbers,
        "claims": [_claim_values(claim) for claim in outcome.claims],
        "notes": list(outcome.notes),
        "figures": list(outcome.figures),
        "definition": _public(experiment.model_dump(mode="json")),
        "runs": [_manifest_values(run.manifest) for run in runs],
        **provenance.describe(_device(runs)),
    }
    return json.dumps(json_value(content), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _device(runs: Sequence[Evaluation]) -> torch.device:
    used = {run.manifest["configuration"]["device"] for run in runs}
    on_gpu = "cuda" in used and torch.cuda.is_available()
    return torch.device("cuda" if on_gpu else "cpu")


def claims_table(claims: tuple[ClaimResult, ...]) -> Table:
    """Return a table of the claims, and whether each held."""
    return Table(
        title="Claims",
        columns=("claim", "on", "result", "numbers"),
        rows=tuple(
            (claim_text(one.claim.text, one.claim.by), one.claim.setting, one.verdict, one.numbers)
            for one in claims
        ),
        texts=4,
        notes=(
            "held: the whole 95 % interval agrees with the claim; not held: none of it does; not "
            "shown: a part of it does; not measured: the numbers say why.",
        ),
    )


def claim_text(text: str, by: str) -> str:
    """Return the text of a claim as it is shown, with whose it is unless it is the paper's."""
    return text if by == "paper" else f"Of this package: {text}"


def attacks_table(experiment: Experiment) -> Table:
    """Return a table of the specs of the attacks, and the settings that have each of them.

    It has no settings of other experiments, whose pages have them.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for setting in experiment.settings:
        for row in setting.attacks if setting.experiment == experiment.name else ():
            found.setdefault((row.name, row.attack), []).append(setting.name)
    rows = tuple((name, ", ".join(settings), spec) for (name, spec), settings in found.items())
    return Table(
        "Attacks",
        ("attack", "on", "spec"),
        rows,
        texts=3,
        notes=("The specs are what minnorm evaluate takes with --attack.",),
    )


def _blocks(outcome: Outcome, command: str) -> Iterator[str]:
    experiment = outcome.experiment
    yield f"# {escaped(experiment.title)}"
    if experiment.about:
        yield escaped(experiment.about.strip())
    yield f"Scale: {experiment.scale}, {_SCALES[experiment.scale]}. Repeat it: `{command}`"
    if outcome.claims:
        yield from _section(claims_table(outcome.claims))
    for name in outcome.figures:
        if name.endswith(".svg") or f"{name[:-4]}.svg" not in outcome.figures:
            yield f"![{escaped(experiment.title)}]({name})"
    for table in outcome.tables:
        yield from _section(table)
    if outcome.notes:
        yield "## Notes"
        yield "\n".join(f"- {escaped(note)}" for note in outcome.notes)
    specs = attacks_table(experiment)
    if specs.rows:
        yield from _section(specs, unbroken=False)
    yield (
        "All numbers in full precision, the manifests of the runs, versions, hardware and the "
        "revision of the code: [results.json](results.json)."
    )


def _section(table: Table, *, unbroken: bool = True) -> Iterator[str]:
    yield f"## {escaped(table.title)}"
    text = markdown_table(table.columns, table.rows, texts=table.texts).rstrip("\n")
    if unbroken:  # Markdown would break lines inside of intervals
        text = _INTERVAL.sub(lambda found: found[0].replace(" ", _NO_BREAK), text)
    # Markdown drops the indentation.
    yield _BELOW.sub(lambda found: f"| *{found[1].replace(' ', _NO_BREAK)}* |", text)
    if table.notes:
        yield "\n".join(f"- {escaped(note)}" for note in table.notes)


def _fitted(table: Table, width: int) -> rich_table.Table:
    """Return a table that fits into a terminal: as it is, or stacked, or narrow."""
    console = Console(width=_ANY_WIDTH)
    for one in (table, _stacked(table)):
        shown = _terminal_table(one)
        if console.measure(shown).maximum <= width:
            return shown
    return _narrow(_stacked(table), width)


def _narrow(table: Table, width: int) -> rich_table.Table:
    """Return a table whose columns are as wide as their words, without those that do not fit."""
    columns = list(zip(table.columns, *table.rows, strict=True))
    widths = [max(map(_longest_word, column)) for column in columns]
    widths[: table.texts] = [min(one, _WORD) for one in widths[: table.texts]]
    kept = len(widths)
    while kept > table.texts + 1 and sum(widths[:kept]) + kept + 1 > width:
        kept -= 1
    widths = widths[:kept]
    for number, column in enumerate(columns[:kept]):
        longest = max(len(line) for cell in column for line in cell.split("\n"))
        spare = max(width - sum(widths) - kept - 1, 0)
        widths[number] += min(spare, max(longest - widths[number], 0))
    left_out = table.columns[kept:]
    note = (f"Left out for lack of width: {', '.join(left_out)}.",) if left_out else ()
    narrow = replace(
        table,
        columns=table.columns[:kept],
        rows=tuple(row[:kept] for row in table.rows),
        notes=(*table.notes, *note),
    )
    return _terminal_table(narrow, widths)


def _longest_word(cell: str) -> int:
    """Return the length of the longest word of a cell, with the indentation of the cell."""
    indentation = len(cell) - len(cell.lstrip())
    return indentation + max((len(word) for word in cell.split()), default=0)


def _terminal_table(table: Table, widths: Sequence[int] = ()) -> rich_table.Table:
    shown = rich_table.Table(
        title=table.title,
        caption=" ".join(table.notes) or None,
        pad_edge=False,
        padding=(0, 0) if widths else (0, 1),
    )
    for number, name in enumerate(table.columns):
        shown.add_column(
            name,
            justify="left" if number < table.texts else "right",
            overflow="fold",
            width=widths[number] if widths else None,
        )
    for row in table.rows:
        shown.add_row(*row, style="dim" if row[0].startswith(" ") else None)
    return shown


def _stacked(table: Table) -> Table:
    """Return a table whose numbers have their intervals in a second line."""
    rows = tuple(
        (
            *row[: table.texts],
            *(_CELL.sub(r"\1\3\n\2", cell) for cell in row[table.texts :]),
        )
        for row in table.rows
    )
    return replace(table, rows=rows)


def _manifest_values(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest without the logits by which a run recognizes its network."""
    configuration = {
        key: value for key, value in manifest["configuration"].items() if key != "model_answers"
    }
    return {**manifest, "configuration": configuration}


def _public(value: Any) -> Any:
    """Return JSON values with the networks as they may be written."""
    if isinstance(value, dict):
        return {
            name: shown_spec(one) if name == "model" and isinstance(one, str) else _public(one)
            for name, one in value.items()
        }
    return [_public(one) for one in value] if isinstance(value, list) else value


def _claim_values(result: ClaimResult) -> dict[str, Any]:
    return {
        "text": result.claim.text,
        "by": result.claim.by,
        "setting": result.claim.setting,
        "result": result.verdict,
        "numbers": result.numbers,
        "estimate": None if result.estimate is None else result.estimate._asdict(),
        "p_value": result.p_value,
    }
