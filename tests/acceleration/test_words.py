"""The words that `accelerate` and `evaluate(..., accelerate=...)` take."""

import re

import pytest

from minnorm.acceleration import check_use
from minnorm.errors import InputError


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("auto", ["auto"]),
        ("off", ["off"]),
        (" plain ", ["plain"]),
        ("folded", ["folded"]),
        (
            "compiled + narrow+channels-last+bfloat16",
            ["compiled", "narrow", "channels-last", "bfloat16"],
        ),
        ("autocast", ["autocast"]),
    ],
)
def test_words_are_split_at_plus_signs(use: str, words: list[str]) -> None:
    assert check_use(use, "use") == words


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("fast", "expected 'auto', 'off', 'plain', or some of folded, narrow, channels-last, "),
        ("auto+folded", "expected 'auto', 'off'"),
        ("narrow+off", "expected 'auto', 'off'"),
        ("plain+narrow", "expected 'auto', 'off'"),
        ("folded+", "expected 'auto', 'off'"),
        ("", "expected 'auto', 'off'"),
        ("autocast+bfloat16", "choose one of 'autocast' and 'bfloat16'"),
        (None, "expected words, for example 'auto' or 'off'"),
        (True, "expected words"),
    ],
)
def test_unknown_and_contradicting_words_are_refused(use: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^accelerate={re.escape(repr(use))}: {message}"):
        check_use(use, "accelerate")
