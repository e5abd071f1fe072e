"""A finding: something that a reader of results should know."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """Something that a reader of the results should know.

    Attributes:
        kind: A short name for programs.
        level: `problem` if numbers may be wrong, else `note`.
        title: What was found, in a few words.
        text: What was found, with the numbers, and what it means.
        advice: What to do.
    """

    kind: str
    level: Literal["problem", "note"]
    title: str
    text: str
    advice: str


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number and its noun: `1 sample`, `1,000 samples`.

    Args:
        count: The number.
        noun: The noun for 1.
        plural: The noun for other numbers; by default with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
