"""The commands `compare` and `gate`."""

from pathlib import Path
from typing import Annotated

import typer

from minnorm.checks import check_choice
from minnorm.cli.console import output
from minnorm.cli.exit_codes import OF_OUTCOMES
from minnorm.cli.options import Labels, OneNorm, radius_option, read_norm, read_radii
from minnorm.runtime.torchrun import is_first_rank

_FORMATS = ("table", "markdown", "json")


def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="A run directory.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another one.")],
    *,
    label: Labels = None,
    epsilon: Annotated[
        list[str] | None,
        radius_option("Compare the accuracy at", "Default: a few where the curves fall."),
    ] = None,
    norm: OneNorm = None,
    attack: Annotated[
        str | None,
        typer.Option(
            help="An attack that both runs have. Default: the closest adversarials over all "
            "attacks of each run."
        ),
    ] = None,
    confidence: Annotated[
        str, typer.Option(metavar="SHARE", help="The confidence of the intervals.")
    ] = "0.95",
    top: Annotated[
        int, typer.Option(min=0, help="How many samples to list that changed most.")
    ] = 10,
    format_: Annotated[
        str, typer.Option("--format", metavar="|".join(_FORMATS), help="The form of the output.")
    ] = "table",
) -> None:
    """Compare two runs on the same data, sample by sample.

    Shows how clean accuracy, robust accuracy and distances differ, with intervals, and which
    samples changed most. Refuses runs on different data, or with different targets or bounds.
    """
    check_choice("--format", format_, _FORMATS)
    radii = read_radii(epsilon)

    from minnorm.evaluation import load_run
    from minnorm.report import compare as compare_runs
    from minnorm.report.decisions.comparison_texts import (
        comparison_json,
        comparison_markdown,
        comparison_table,
    )
    from minnorm.report.decisions.requirements import read_share

    comparison = compare_runs(
        load_run(run_a),
        load_run(run_b),
        epsilons=radii,
        norm=read_norm(norm),
        attack=attack,
        confidence=read_share(confidence),
        top=top,
        labels=label or (),
    )
    if format_ == "table":
        output.print(comparison_table(comparison))
        return
    text = comparison_markdown if format_ == "markdown" else comparison_json
    for line in text(comparison).rstrip("\n").split("\n"):
        output.print(line, soft_wrap=True)


def gate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    *,
    require: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REQUIREMENT",
            help="A requirement, for example 'accuracy@0.5 >= 60%', 'accuracy_linf@8/255 >= 0.4', "
            "'median_l2 >= 0.8', 'mean > 1', 'success of ddn <= 90%' or 'clean_accuracy >= 0.95'. "
            "Without 'of ATTACK', the closest adversarials over all attacks count. Repeat it for "
            "several requirements. With a baseline also a metric alone.",
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="A run of another model on the same data. Each metric of the requirements is "
            "compared with it, sample by sample; without requirements the clean accuracy, and the "
            "accuracy at a few radii.",
        ),
    ] = None,
    no_worse_than: Annotated[
        str | None,
        typer.Option(
            metavar="MARGIN",
            help="By how much a metric may be worse than that of the baseline: 2% means 2 points "
            "of an accuracy, and 2 % of a distance.",
        ),
    ] = None,
    confidence: Annotated[
        str,
        typer.Option(
            metavar="SHARE|none",
            help="The confidence of the answers. none: compare the measured numbers as they are, "
            "for a regression test on fixed samples.",
        ),
    ] = "0.95",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Fail if there are warnings: those of the run and of the baseline, and the "
            "problems that their numbers show, for example an attack that never succeeds.",
        ),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the answers as JUnit XML.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='Write the answers as Markdown; they are added to "$GITHUB_STEP_SUMMARY".',
        ),
    ] = None,
) -> None:
    """Check whether a run meets requirements. Neither the model nor the data is needed.

    The samples of the run stand for all samples like them: a requirement is met, or not met, only
    if the samples show it with the given confidence. By default, a model that meets all
    requirements fails with a probability of at most 5 %, however many there are, and a model that
    does not meet one of them passes with a probability of at most 5 %. These are about 5 %, and not
    a guarantee, for means, for changes from a baseline, and for samples with several targets.

    Requirements may also be met because an attack does not work. So the problems that the report
    finds in the run are warnings here, and fail with --strict.

    Exit codes: 0: all requirements are met. 1: at least one is not met. 2: bad input, or batches of
    the run are missing. 3: too few samples to tell about at least one, and all others are met.
    torchrun turns all of them but 0 into 1: start this command without it.
    """
    if not is_first_rank():
        return  # one answer, and one entry in a summary, is enough

    from minnorm.evaluation import load_run
    from minnorm.files import named_by, write_content
    from minnorm.report import check
    from minnorm.report.decisions.gate_texts import gate_junit, gate_table, write_markdown
    from minnorm.report.decisions.requirements import read_confidence, read_margin

    verdicts = check(
        load_run(run),
        require or (),
        baseline=None if baseline is None else load_run(baseline),
        no_worse_than=None if no_worse_than is None else read_margin(no_worse_than),
        confidence=read_confidence(confidence),
        strict=strict,
    )
    output.print(gate_table(verdicts))
    for warning in verdicts.warnings:
        output.print(f"Warning: {warning}", style="yellow")
    if junit is not None:
        with named_by("--junit", junit):
            write_content(junit, gate_junit(verdicts))
    if markdown is not None:
        write_markdown(verdicts, markdown)
    raise typer.Exit(OF_OUTCOMES[verdicts.outcome])
