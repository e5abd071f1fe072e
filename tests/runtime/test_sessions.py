"""Warnings of differences between the sessions of a run."""

from typing import Any

import pytest

from minnorm.runtime.sessions import warning_of_changes

SESSION: dict[str, Any] = {
    "started": "now",
    "ranks": 1,
    "revision": "abc",
    "versions": {"python": "3.12", "torch": "2.9"},
    "hardware": {"instructions": "AVX2", "threads": 2, "cores": 4, "gpu": "H200"},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ranks": 2}, "ranks 1, then 2"),
        ({"revision": "def"}, "revision abc, then def"),
        ({"versions": {"python": "3.12", "torch": "2.10"}}, "torch 2.9, then 2.10"),
        ({"hardware": {**SESSION["hardware"], "threads": 3}}, "threads 2, then 3"),
        ({"hardware": {}}, "instructions AVX2, then None; threads 2, then None; gpu H200, then"),
        (
            {"revision": "def", "versions": {"python": "3.13", "torch": "2.9"}},
            "revision abc, then def; python 3.12, then 3.13",
        ),
    ],
    ids=str,
)
def test_what_decides_rounding_is_warned_of(changes: dict[str, Any], expected: str) -> None:
    warning = warning_of_changes([SESSION, {**SESSION, **changes}], "weights")
    assert warning is not None
    assert f"continued with other versions or settings ({expected}" in warning
    assert "its weights may differ in rounding" in warning


@pytest.mark.parametrize(
    "changes",
    [
        {"started": "later"},
        {"hardware": {**SESSION["hardware"], "cores": 8}},
        {"versions": {**SESSION["versions"], "timm": "1.0"}},
    ],
    ids=str,
)
def test_what_does_not_decide_rounding_is_not_warned_of(changes: dict[str, Any]) -> None:
    assert warning_of_changes([SESSION, {**SESSION, **changes}], "weights") is None


def test_a_first_session_is_not_warned_of() -> None:
    assert warning_of_changes([], "weights") is None
    assert warning_of_changes([SESSION], "weights") is None


def test_all_sessions_are_compared_and_each_value_named_once() -> None:
    sessions = [{**SESSION, "revision": revision} for revision in ("a", "a", "b", "b", "a")]
    assert "(revision a, then b, then a)" in str(warning_of_changes(sessions, "records"))


def test_a_library_is_compared_among_the_sessions_that_use_it() -> None:
    sessions = [{"versions": one} for one in ({"timm": "1"}, {}, {"timm": "2"})]
    assert "(timm 1, then 2)" in str(warning_of_changes(sessions, "records"))


def test_what_does_not_matter_for_a_run_is_ignored() -> None:
    sessions = [SESSION, {**SESSION, "ranks": 2}]
    assert warning_of_changes(sessions, "records", ignored=("ranks",)) is None
