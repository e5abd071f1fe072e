"""Markdown: tables and texts in which everything from outside is escaped."""

import html
import re
from collections.abc import Sequence

from minnorm.runtime.terminal import printable

_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~!])")
"""Characters that format text; those of HTML are written as entities."""


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    return _SPECIAL.sub(r"\\\1", html.escape(printable(text), quote=False))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """Return a table of texts, the first columns to the left and the others to the right.

    Args:
        header: The names of the columns.
        rows: The cells of each row.
        texts: How many columns are to the left.
    """
    lines = [
        header,
        [*[":---"] * texts, *["---:"] * (len(header) - texts)],
        *([*map(escaped, row)] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
