"""The entry point: all commands, and how errors are shown."""

import importlib.metadata
import os
import sys
import time
import traceback

import typer

from minnorm.cli import commands, listings
from minnorm.cli.console import is_first_rank, messages, output, show_log
from minnorm.errors import InputError

BUG = 1
"""The exit code after an error that the user did not cause."""

BAD_INPUT = 2
"""The exit code after bad input, the same as typer's for a bad option."""

INTERRUPTED = 130
"""The exit code that typer uses after an interruption (Ctrl-C)."""

_SECONDS_FOR_FIRST_RANK = 10.0
"""How long the other ranks wait for the first one to report the same error."""

app = typer.Typer(
    name="minnorm",
    help="Minimum-norm attacks, robustness evaluation and robust training for PyTorch.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.command("evaluate")(commands.evaluate)
app.command("train")(commands.train)
app.command("demo")(commands.demo)
app.add_typer(listings.data, name="data")
app.add_typer(listings.model, name="model")
app.add_typer(listings.attack, name="attack")


def _show_version(wanted: bool) -> None:
    if wanted:
        output.print(f"minnorm {importlib.metadata.version('minnorm')}", highlight=False)
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

    The exit code is 0 after success, 2 after bad input, 130 after an interruption, and 1 after any
    other error. Bad input causes one message that says what was expected. Any other error is a bug,
    and its traceback is shown.
    """
    try:
        app()
    except (InputError, OSError) as error:
        _wait_for_first_rank()
        if os.environ.get("MINNORM_DEBUG"):
            traceback.print_exc()
        _print_error(f"error: {error}")
        sys.exit(BAD_INPUT)
    except SystemExit as error:
        if error.code == INTERRUPTED:
            messages.print(
                "interrupted: run the same command again to continue; add --resume for training."
            )
        raise
    except Exception:  # the user cannot fix it, so the traceback is for the developers
        _wait_for_first_rank()
        traceback.print_exc()
        _print_error(_bug_report())
        sys.exit(BUG)


def _wait_for_first_rank() -> None:
    """Wait on all ranks but the first: most errors occur on every rank, and one report is enough.

    When the first rank exits with an error, `torchrun` stops the others. An error that only this
    rank has is reported after the wait.
    """
    if not is_first_rank:
        time.sleep(_SECONDS_FOR_FIRST_RANK)


def _print_error(message: str) -> None:
    messages.print(message, style="red", markup=False, highlight=False, soft_wrap=True)


def _bug_report() -> str:
    metadata = importlib.metadata.metadata("minnorm")
    urls = dict(entry.split(", ", 1) for entry in metadata.get_all("Project-URL") or [])
    where = f" at {urls['Issues']}" if "Issues" in urls else ""
    return (
        f"This is a bug in minnorm {metadata['Version']}. Please report it{where} with the command "
        "and the traceback."
    )
