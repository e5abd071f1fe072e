"""The entry point: all commands, and what becomes of an error."""

import importlib.metadata
import os
import sys
import traceback

import typer

from minnorm.cli import commands, listings
from minnorm.cli.console import errors, output, show_log

INTERRUPTED = 130
"""The exit code that typer gives a command that was interrupted (Ctrl-C)."""

app = typer.Typer(
    name="minnorm",
    help="The smallest change that makes a classifier wrong, and models for which it is large.",
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
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say more of what is done."),
    debug: bool = typer.Option(False, "--debug", help="Show where an error comes from."),
) -> None:
    show_log(verbose=verbose)
    if debug:
        os.environ["MINNORM_DEBUG"] = "1"


def main() -> None:
    """Runs the command line.

    Exits with 0 when all went well, with 2 and one message when something given cannot be used,
    and with 130 when interrupted.
    """
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get("MINNORM_DEBUG"):
            traceback.print_exc()
        errors.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except SystemExit as error:
        if error.code == INTERRUPTED:
            errors.print(
                "interrupted: the same command goes on from what is finished, train with --resume."
            )
        raise
