"""The exit codes of the commands."""

from collections.abc import Mapping

NOT_MET = 1
"""A requirement is not met, or a warning is not allowed."""

BAD_INPUT = 2
"""Bad input, the same as typer's for a bad option."""

UNDECIDED = 3
"""There are too few samples to tell whether a requirement is met."""

BUG = 70
"""An error that the user did not cause: the code of `sysexits.h` for it."""

INTERRUPTED = 130
"""The exit code that typer uses after an interruption (Ctrl-C)."""

OF_OUTCOMES: Mapping[str, int] = {"met": 0, "not met": NOT_MET, "undecided": UNDECIDED}
"""The exit code for each outcome of the gate."""
