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
