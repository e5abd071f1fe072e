"""Markdown: tables and texts in which everything from outside is escaped.

The files are read as they are, too, so that no more is escaped than formats text at its place.
"""

import re
from collections.abc import Sequence

from minnorm.runtime.terminal import printable

_SPECIAL = re.compile(
    r"""
    [\\`*{}|~]
    | (?<![^\W_]) _ | _ (?![^\W_])  # inside of a word it is nothing but itself
    | ^ [#\[]       # a heading, a box to tick
    | ! (?=\[)      # an image
    | \] (?=[(\[:]) # a link, or the definition of one
    """,
    re.VERBOSE,
)

_ITEM = re.compile(r"^(?:([-+])(?=[-\s])|(\d+)([.)])(?=\s|$))")
"""The beginning of an item of a list, or a line. A cell may be `-` alone."""

_HTML = re.compile(r"[<>]|&(?=#?\w+;)")

_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    text = _ITEM.sub(r"\2\\\1\3", _SPECIAL.sub(r"\\\g<0>", printable(text)))
    return _HTML.sub(lambda found: _ENTITIES[found[0]], text)


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
