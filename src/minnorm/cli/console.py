"""Output of the commands: results to standard output, everything else to standard error.

All output passes through the consoles of this module, which escape what a terminal could interpret,
see `minnorm.runtime.terminal`.
"""

import logging
import traceback
import warnings

from rich.logging import RichHandler

from minnorm.runtime.progress import messages, progress_bars
from minnorm.runtime.terminal import Terminal, output_width, printable
from minnorm.runtime.torchrun import is_first_rank

__all__ = ["messages", "output", "print_traceback", "progress_bars", "show_log", "shown"]

output = Terminal(quiet=not is_first_rank(), width=output_width())
"""The console for results. Of several ranks only the first prints."""

_LABELS = "minnorm.data.folder"
"""The logger of the labels that folders have."""

shown: set[str] = set()
"""The messages of the log since `show_log`."""


class _Log(RichHandler):
    """A handler that remembers what it has shown."""

    def emit(self, record: logging.LogRecord) -> None:
        shown.add(record.getMessage())
        super().emit(record)


class _Printable(logging.Formatter):
    """A formatter whose messages are one printable line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - a name of logging
        return printable(super().formatMessage(record))


def show_log(*, verbose: bool) -> None:
    """Send the package's log to standard error: all messages if `verbose`, else warnings only.

    The labels that the folders of classes have are shown in any case: a model that numbers its
    classes in another order would look inaccurate.

    All ranks have the same warnings, so only the first shows them.
    """
    shown.clear()
    # The commands show the warnings of runs; Python would show that of an incomplete run again.
    warnings.filterwarnings("ignore", module=r"minnorm\.evaluation\.records")
    handler = _Log(console=messages, show_path=False, show_time=False)
    handler.setFormatter(_Printable("%(message)s"))
    logger = logging.getLogger("minnorm")
    handler.addFilter(
        lambda record: verbose or record.levelno >= logging.WARNING or record.name == _LABELS
    )
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if is_first_rank() else logging.ERROR)


def print_traceback() -> None:
    """Print the traceback of the error that is handled."""
    for line in traceback.format_exc().rstrip("\n").split("\n"):
        messages.print(line, soft_wrap=True)
