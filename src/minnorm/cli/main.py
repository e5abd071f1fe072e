"""The entry point: all commands, and how errors are shown."""

import importlib.metadata
import os
import sys
import time
from typing import Any

import typer

from minnorm.cli import commands, listings
from minnorm.cli.console import messages, output, print_traceback, show_log
from minnorm.cli.exit_codes import BAD_INPUT, BUG, INTERRUPTED
from minnorm.cli.export import export
from minnorm.cli.figure import figure
from minnorm.cli.gate import compare, gate
from minnorm.cli.options import CommandWithBounds
from minnorm.cli.report import report
from minnorm.cli.reproduce import reproduce
from minnorm.cli.show import show
from minnorm.errors import InputError
from minnorm.runtime.terminal import open_closed_streams
from minnorm.runtime.torchrun import is_first_rank

_SECONDS_FOR_FIRST_RANK = 10.0
"""How long the other ranks wait for the first one to report the same error."""

_UsageError: Any = typer.BadParameter.__base__
"""The error of a command that cannot be parsed; typer does not export its name."""

app = typer.Typer(
    name="minnorm",
    help="Minimum-norm attacks, robustness evaluation and robust training for PyTorch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.command("evaluate", cls=CommandWithBounds)(commands.evaluate)
app.command("train")(commands.train)
app.command("demo")(commands.demo)
app.command("reproduce")(reproduce)
app.command("show")(show)
app.command("report")(report)
app.command("compare")(compare)
app.command("gate")(gate)
app.command("export")(export)
app.add_typer(figure, name="figure")
app.add_typer(listings.data, name="data")
app.add_typer(listings.model, name="model")
app.add_typer(listings.attack, name="attack")


def _show_version(wanted: bool) -> None:
    if wanted:
        output.print(f"minnorm {importlib.metadata.version('minnorm')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: bool = typer.Option(
        False,
        "--version",
        is_eager=True,
        callback=_show_version,
        help="Show the version and exit.",
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show more messages."),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of every error."),
) -> None:
    show_log(verbose=verbose)
    if debug:
        os.environ["MINNORM_DEBUG"] = "1"


def main() -> None:
    """Run the command line, and exit.

    The exit code is 0 after success, 2 after bad input, 130 after an interruption, and 70 after any
    other error. `gate` and `evaluate --strict` end with 1 if a requirement is not met, and `gate`
    with 3 if there are too few samples to tell. Bad input causes one message that says what was
    expected. Any other error is a bug, and its traceback is shown.
    """
    open_closed_streams()
    try:
        code = app(standalone_mode=False)
    except InputError as error:
        code = BAD_INPUT
        _show_bad_input(*map(str, error.args))
    except OSError as error:
        code = BAD_INPUT
        _show_bad_input(str(error))
    except _UsageError as error:
        code = error.exit_code
        _show_bad_usage(error)
    except Exception:  # the user cannot fix it, so the traceback is for the developers
        code = BUG
        _wait_for_first_rank()
        print_traceback()
        _print_error(_bug_report())
    if code == INTERRUPTED:
        messages.print(
            "interrupted: run the same command again to continue; add --resume for training."
        )
    sys.exit(code)


def _show_bad_input(*lines: str) -> None:
    _wait_for_first_rank()
    if os.environ.get("MINNORM_DEBUG"):
        print_traceback()
    _print_error("error: " + "".join(lines[:1]), *lines[1:])


def _show_bad_usage(error: Any) -> None:
    """Show how a command is used and what is wrong; without any word, the whole help."""
    context, message = error.ctx, error.format_message()
    if context is not None and message == context.get_help():
        for line in message.split("\n"):
            messages.print(line, soft_wrap=True)
        return
    _wait_for_first_rank()
    if context is not None:
        for line in context.get_usage().split("\n"):
            messages.print(line, soft_wrap=True)
        messages.print(f"Try '{context.command_path} --help' for help.", soft_wrap=True)
    _print_error(f"error: {message}")


def _wait_for_first_rank() -> None:
    """Wait on all ranks but the first: most errors occur on every rank, and one report is enough.

    When the first rank exits with an error, `torchrun` stops the others. An error that only this
    rank has is reported after the wait.
    """
    if not is_first_rank():
        time.sleep(_SECONDS_FOR_FIRST_RANK)


def _print_error(*lines: str) -> None:
    for line in lines:
        messages.print(line, style="red", soft_wrap=True)


def _bug_report() -> str:
    metadata = importlib.metadata.metadata("minnorm")
    urls = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL") or [])
    where = f" at {urls['Issues']}" if "Issues" in urls else ""
    return (
        f"This is a bug in minnorm {metadata['Version']}. Please report it{where} with the command "
        "and the traceback."
    )
