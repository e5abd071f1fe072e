"""The answers of the gate as a table for the terminal, as Markdown, and as JUnit XML."""

import io
import math
import os
import xml.etree.ElementTree as ET
from pathlib import Path

from rich.table import Table
from rich.text import Text

from minnorm.files import named_by, write_content
from minnorm.report.decisions.requirements import Requirement
from minnorm.report.decisions.verdicts import Outcome, RequirementVerdict, Verdicts
from minnorm.report.tables.markdown import escaped, markdown_table
from minnorm.report.texts import decimals
from minnorm.runtime.terminal import Terminal, printable

_WIDTH = 110
"""Columns of a table in the output of a test."""

_HEADER = ("requirement", "measured", "bounds", "records", "answer")

_STYLES: dict[Outcome, str] = {"met": "green", "not met": "red", "undecided": "yellow"}

_ANSWERS: dict[Outcome, str] = {
    "met": "all requirements are met",
    "not met": "at least one requirement is not met",
    "undecided": "too few samples to tell",
}


def gate_table(verdicts: Verdicts) -> Table:
    """Return the answers for the terminal."""
    table = Table(
        title=f"{verdicts.run}: {summary(verdicts)}",
        caption=_caption(verdicts),
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column(_HEADER[0], overflow="fold")
    for name in _HEADER[1:-1]:
        table.add_column(name, justify="right", overflow="fold")
    table.add_column(_HEADER[-1], overflow="fold")
    for verdict in verdicts.verdicts:
        *cells, answer = _cells(verdict)
        table.add_row(*cells, Text(answer, style=_STYLES[verdict.outcome]))
    return table


def gate_text(verdicts: Verdicts) -> str:
    """Return the answers and the warnings as text, for logs."""
    console = Terminal(file=io.StringIO(), width=_WIDTH)
    with console.capture() as capture:
        console.print(gate_table(verdicts))
        for warning in verdicts.warnings:
            console.print(f"Warning: {warning}", soft_wrap=True)
    return capture.get().strip()  # the first line is all that pytest shows in its summary


def gate_markdown(verdicts: Verdicts) -> str:
    """Return the answers as Markdown, for example for the summary of a CI job."""
    parts = [
        f"**{escaped(f'{verdicts.run}: {summary(verdicts)}')}**\n",
        markdown_table(_HEADER, [_cells(verdict) for verdict in verdicts.verdicts]),
        f"{escaped(_caption(verdicts))}\n",
    ]
    if verdicts.warnings:
        parts.append("".join(f"- Warning: {escaped(text)}\n" for text in verdicts.warnings))
    return "\n".join(parts)


def write_markdown(verdicts: Verdicts, path: Path) -> None:
    """Write the answers as Markdown; they are added to the summary of a job of GitHub Actions.

    Args:
        verdicts: The answers.
        path: The file; an old one is replaced unless `GITHUB_STEP_SUMMARY` names it.

    Raises:
        InputError: If the file cannot be written.
    """
    text = gate_markdown(verdicts)
    with named_by("--markdown", path):
        if str(path) == os.environ.get("GITHUB_STEP_SUMMARY"):
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")
        else:
            write_content(path, text.encode())


def gate_junit(verdicts: Verdicts) -> bytes:
    """Return the answers as JUnit XML, a test case for each requirement.

    What is not met is a failure, what is undecided an error. With `strict`, warnings are a test
    case that fails.
    """
    suite = ET.Element("testsuite", name="minnorm gate", time="0")
    for verdict in verdicts.verdicts:
        case = _case(suite, verdicts, str(verdict.requirement))
        if verdict.outcome != "met":
            kind = "failure" if verdict.outcome == "not met" else "error"
            details = "; ".join(
                f"{name}: {cell}"
                for name, cell in zip(_HEADER[1:], _cells(verdict)[1:], strict=True)
                if cell
            )
            _problem(case, kind, verdict.outcome, details)
    if verdicts.warnings and verdicts.strict:
        case = _case(suite, verdicts, "no warnings")
        _problem(case, "failure", "warning", "; ".join(verdicts.warnings))
    elif verdicts.warnings:
        output = ET.SubElement(suite, "system-out")
        output.text = "\n".join(f"Warning: {printable(text)}" for text in verdicts.warnings)
    for name, tag in (("tests", "testcase"), ("failures", "*/failure"), ("errors", "*/error")):
        suite.set(name, str(len(suite.findall(tag))))
    content: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def summary(verdicts: Verdicts) -> str:
    """Return the answer to all requirements in a few words."""
    outcomes = [verdict.outcome for verdict in verdicts.verdicts]
    if verdicts.outcome == "not met" and "not met" not in outcomes:
        return "the run has warnings, which --strict does not allow"
    undecided = [verdict for verdict in verdicts.verdicts if verdict.outcome == "undecided"]
    if verdicts.outcome == "undecided" and any(verdict.reason for verdict in undecided):
        return "the run cannot tell"
    is_doubtful = verdicts.outcome == "met" and verdicts.warnings
    return _ANSWERS[verdicts.outcome] + (", but there are warnings" if is_doubtful else "")


def _case(suite: ET.Element, verdicts: Verdicts, name: str) -> ET.Element:
    return ET.SubElement(
        suite, "testcase", classname=printable(verdicts.run), name=printable(name), time="0"
    )


def _problem(case: ET.Element, kind: str, type_: str, message: str) -> None:
    problem = ET.SubElement(case, kind, type=type_, message=printable(message))
    problem.text = printable(message)


def _cells(verdict: RequirementVerdict) -> list[str]:
    """Return the cells of a row."""
    requirement = verdict.requirement
    low, high = (_number(requirement, end) for end in (verdict.low, verdict.high))
    bounds = "" if verdict.low == verdict.high else f"{low} to {high}"
    return [
        str(requirement),
        _number(requirement, verdict.value),
        bounds,
        f"{verdict.count:,}",
        _answer(verdict),
    ]


def _answer(verdict: RequirementVerdict) -> str:
    """Return the outcome, with what a reader wants to know about it."""
    if verdict.outcome != "undecided" and verdict.reason:
        return f"{verdict.outcome}: {verdict.reason}"
    if verdict.outcome == "met":
        return "met"
    if verdict.outcome == "not met":
        missed = _number(verdict.requirement, verdict.shortfall, sign=False)
        known = math.isfinite(verdict.shortfall)
        return f"not met, missed by {missed}" if known else "not met"
    if verdict.reason:
        return f"undecided: {verdict.reason}"
    if verdict.needed is None:
        return "undecided: too few samples"
    return f"undecided: too few samples, about {verdict.needed:,} would probably decide"


def _number(requirement: Requirement, value: float, *, sign: bool = True) -> str:
    """Return a number in the unit of a requirement."""
    if math.isnan(value):
        return "-"
    signed = requirement.is_change and sign
    if requirement.metric.is_share:
        unit = " points" if requirement.is_change or not sign else " %"
        return f"{decimals(100 * value, 1, signed=signed)}{unit}"
    if requirement.is_change:
        return f"{decimals(100 * value, 1, signed=signed)} %"
    return decimals(value, 4)


def _caption(verdicts: Verdicts) -> str:
    """Return how the answers were found."""
    if verdicts.confidence is None:
        text = f"The numbers of these {verdicts.samples:,} samples count as they are."
    else:
        text = (
            f"Bounds hold with {100 * verdicts.confidence:g} % confidence for all samples like "
            f"these {verdicts.samples:,}. Met: a bound proves it. Not met: a bound excludes it. "
            f"{_promise(verdicts, verdicts.confidence)}"
        )
    if verdicts.baseline:
        text += f" Baseline: {verdicts.baseline}."
    if verdicts.is_repeat:
        text += (
            " The run repeats the baseline: the same model and attacks, and the same records. So "
            "nothing has changed."
        )
    return text


def _promise(verdicts: Verdicts, confidence: float) -> str:
    """Return how often answers are wrong, as far as that is known."""
    exact = all(verdict.exact for verdict in verdicts.verdicts)
    most = f"{'at most' if exact else 'about'} {100 - 100 * confidence:.2g} %"
    count = len(verdicts.verdicts)
    met = "the requirement" if count == 1 else f"all {count} requirements"
    promise = (
        f"A model that meets {met} fails with a probability of {most}, and one that does not "
        f"passes with {most}."
    )
    if exact:
        return promise
    return (
        f"{promise} The bounds of means, of changes from a baseline, and of samples with several "
        "targets are approximate."
    )
