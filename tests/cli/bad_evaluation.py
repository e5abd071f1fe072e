"""Evaluations with one thing wrong, and the check that the command line refuses them well."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cli.command_line import Shell

TINY = "evaluation.tiny_models"
MODEL = f"{TINY}:linear"
DATA = "mnist-sample[:8]"
ATTACK = "ddn(steps=2)"


class Case(NamedTuple):
    """An evaluation with one thing wrong, and what the message must contain.

    In all words, `{files}` stands for the folder of prepared files and `{new}` for a new folder.
    """

    name: str
    says: tuple[str, ...]
    model: str = MODEL
    data: str = DATA
    attack: str = ATTACK
    out: str | None = "{new}/out"
    options: tuple[str, ...] = ()

    def words(self, files: Path, new: Path) -> list[str]:
        out = [] if self.out is None else ["--out", self.out]
        words = ["evaluate", self.model, self.data, "--attack", self.attack, *out, *self.options]
        return [word.replace("{files}", str(files)).replace("{new}", str(new)) for word in words]


def check_refused(shell: Shell, words: list[str], says: Sequence[str]) -> None:
    """Run a command that must be refused with one message that contains the texts `says`."""
    outcome = shell(*words)
    assert outcome.code == 2
    assert outcome.output == ""
    assert "Traceback" not in outcome.errors
    assert re.match(r"error: |Usage: |Error: ", outcome.message), outcome.message
    assert len(re.findall(r"\berror: ", outcome.message, re.IGNORECASE)) == 1, outcome.message
    for text in says:
        assert text in outcome.message, outcome.message
    assert len(outcome.message) < 1500
