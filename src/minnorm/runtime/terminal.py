"""The terminal: text of others is escaped before it is shown, and a closed output ends quietly."""

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.status import Status
from rich.text import Text

SIZE_OF_LOGS = 140
"""Columns of a table in a log or a file, which have no width."""


def printable(text: str) -> str:
    r"""Return a text with an escape such as `\x1b` in place of each character that is not printed.

    Control characters in the name of a file could move the cursor, change colors or hide text. The
    escapes are those of `repr`, which also replaces line breaks, the characters that reverse the
    direction of writing, and bytes that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines with `printable` applied to each of them."""
    return "\n".join(map(printable, text.split("\n")))


class Terminal(Console):
    """A console that shows text as it is: printable, and without markup.

    If its reader goes away, for example `head`, what follows is discarded, and the program goes on.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects; each string is one line."""
        shown = (printable(one) if isinstance(one, str) else one for one in objects)
        super().print(*shown, **options)

    def status(self, status: RenderableType, **options: Any) -> Status:
        """Return a spinner with a text beside it."""
        shown = Text(printable(status)) if isinstance(status, str) else status
        return super().status(shown, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a string, for example a cell of a table, as a text without markup."""
        return super().render_str(printable_lines(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render an object; whatever it contains is printable."""
        for segment in super().render(renderable, options):
            yield (
                segment if segment.control else segment._replace(text=printable_lines(segment.text))
            )

    def on_broken_pipe(self) -> None:
        """Discard all further output."""
        self.quiet = True
        discard_output(self.file)


def open_closed_streams() -> None:
    """Replace output streams that were closed before the program started, and show all characters.

    Characters that the terminal cannot show become escapes.
    """
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            # Otherwise the next file that is opened would become the output of other programs.
            stream = open(os.devnull, "w")  # noqa: PTH123, SIM115 - open until the program ends
            setattr(sys, name, stream)
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def discard_output(stream: Any) -> None:
    """Send what is still written to a stream whose reader has gone to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def output_width() -> int | None:
    """Return the width of tables on standard output; `None` for the width of the terminal."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    return None if is_terminal else SIZE_OF_LOGS
