"""Warnings of differences between the sessions of a run."""

from typing import Any

import pytest

from minnorm.training.sessions import warn_of_changes

SESSION: dict[str, Any] = {
    "started": "now",
    "ranks": 1,
    "revision": "abc",
    "versions": {"python": "3.12", "torch": "2.9"},
    "hardware": {"instructions": "AVX2", "threads": 2, "cores": 4, "gpu": "H200"},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ranks": 2}, "ranks 1, now 2:"),
        ({"versions": {"python": "3.12", "torch": "2.10"}}, "torch 2.9, now 2.10:"),
        ({"hardware": {**SESSION["hardware"], "threads": 3}}, "threads 2, now 3:"),
        ({"hardware": {}}, "instructions AVX2, now None; threads 2, now None; gpu H200, now None:"),
        ({"started": "later", "revision": "def"}, None),
        ({"hardware": {**SESSION["hardware"], "cores": 8}}, None),
    ],
)
def test_what_decides_rounding_is_warned_of(
    changes: dict[str, Any], message: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_changes([{"ranks": 9}, SESSION], {**SESSION, **changes})
    assert caplog.text.count("the run started with") == (message is not None)
    assert message is None or f"the run started with {message} it continues" in caplog.text


def test_a_first_session_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_changes([], SESSION)
    assert caplog.text == ""
