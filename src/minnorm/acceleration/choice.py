"""The choice of techniques: which are requested, which are used, and why."""

import math
from collections.abc import Sequence

from torch import Tensor

from minnorm.acceleration.timing import compared_seconds, works
from minnorm.logits import Model

REQUESTED = "as requested"
"""The reason for a technique that was not measured: the user, or an earlier run, chose it."""


class Choice:
    """The techniques that are requested, and what has been decided so far.

    Args:
        example: The inputs to measure on.
        words: The requested techniques; `None` to choose by measuring.
    """

    def __init__(self, example: Tensor, words: Sequence[str] | None) -> None:
        self.example = example
        self._words = words
        self._decisions: dict[str, tuple[bool, str]] = {}

    @property
    def automatic(self) -> bool:
        """Whether techniques are chosen by measuring."""
        return self._words is None

    def requests(self, word: str) -> bool:
        """Return whether a technique is requested by name."""
        return self._words is not None and word in self._words

    def considers(self, word: str) -> bool:
        """Return whether a technique is a candidate: requested, or chosen by measuring."""
        return self.automatic or self.requests(word)

    def record(self, word: str, used: bool, reason: str) -> None:
        """Record whether a technique is used, and why."""
        self._decisions[word] = used, reason

    def seconds(self, models: Sequence[Model]) -> list[float]:
        """Return the seconds of a gradient of each classifier; infinite for one that fails.

        If techniques are requested, nothing is measured: those that work take 1 second.
        """
        if self.automatic:
            return compared_seconds(models, self.example)
        return [1.0 if works(model, self.example) else math.inf for model in models]

    def speedup(self, fast: Model, slow: Model) -> tuple[float, str]:
        """Measure how many times as fast one classifier is as another.

        Returns:
            The ratio, and the reason to record. A requested technique is not measured: its ratio is
            infinite.
        """
        if not self.automatic:
            return math.inf, REQUESTED
        fast_seconds, slow_seconds = self.seconds((fast, slow))
        ratio = slow_seconds / fast_seconds if fast_seconds < math.inf else 0.0
        return ratio, f"{ratio:.2f} times as fast" if ratio > 0 else "it fails"

    @property
    def used(self) -> list[str]:
        """The techniques that are used, in their order."""
        return [word for word, (used, _) in self._decisions.items() if used]

    @property
    def notes(self) -> list[str]:
        """A sentence for each technique that was considered."""
        return [
            f"{word}: {'yes' if used else 'no'} ({reason})"
            for word, (used, reason) in self._decisions.items()
        ]

    def reason(self, word: str) -> str | None:
        """Return why a technique is used or not; `None` if nothing was decided."""
        return self._decisions[word][1] if word in self._decisions else None
