"""Remembered decisions: what they depend on, and files that are damaged or foreign."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel

from minnorm.data.cache import cache_folder
from minnorm.evaluation.preparation import decisions
from minnorm.evaluation.preparation.decisions import (
    AccelerationDecision,
    BatchSizeDecision,
    circumstances,
    recall,
    remember,
)
from minnorm.runtime import provenance

KEY = {"model": "f" * 64, "threads": "2"}
FAST = AccelerationDecision(words="narrow+bfloat16", gradient=0.001)
SIZE = BatchSizeDecision(size=64, most=128)


def _file() -> Path:
    return cache_folder() / "decisions.json"


def _change(**changes: Any) -> None:
    """Change the value of the only decision in the file."""
    (entry,) = json.loads(_file().read_text())
    entry["value"] |= changes
    _file().write_text(json.dumps([entry]))


def test_a_decision_is_recalled_under_the_same_circumstances() -> None:
    assert recall(KEY, AccelerationDecision) is None
    remember(KEY, FAST)
    remember(KEY, SIZE)
    assert recall(KEY, AccelerationDecision) == FAST
    assert recall(KEY, BatchSizeDecision) == SIZE
    assert recall({**KEY, "threads": "1"}, AccelerationDecision) is None
    assert recall({"model": KEY["model"]}, AccelerationDecision) is None


def test_a_later_decision_replaces_an_earlier_one() -> None:
    remember(KEY, FAST)
    later = FAST.model_copy(update={"words": "off"})
    remember(KEY, later)
    assert recall(KEY, AccelerationDecision) == later
    assert len(json.loads(_file().read_text())) == 1


def test_the_oldest_decisions_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "_MOST", 3)
    for number in range(5):
        remember({"model": str(number)}, SIZE)
    found = [recall({"model": str(number)}, BatchSizeDecision) for number in range(5)]
    assert found == [None, None, SIZE, SIZE, SIZE]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"null", b"7", b'{"key": {}}', b"[1, null, []]", b"[" * 100_000],
)
def test_a_damaged_file_is_ignored_and_replaced(content: bytes) -> None:
    _file().parent.mkdir(parents=True)
    _file().write_bytes(content)
    assert recall(KEY, AccelerationDecision) is None
    remember(KEY, FAST)
    assert recall(KEY, AccelerationDecision) == FAST


@pytest.mark.parametrize(
    ("decision", "changes"),
    [
        (FAST, {"words": "auto"}),
        (FAST, {"words": "folded+compiled"}),  # takes a minute, and is never measured
        (FAST, {"words": "__import__('os')"}),
        (FAST, {"words": 3}),
        (FAST, {"gradient": 0.0}),
        (FAST, {"gradient": -1.0}),
        (FAST, {"gradient": float("inf")}),
        (FAST, {"gradient": "fast"}),
        (FAST, {"other": 1}),
        (SIZE, {"size": 0}),
        (SIZE, {"size": 2.5}),
        (SIZE, {"size": "64"}),
        (SIZE, {"most": None}),
    ],
)
def test_a_decision_that_no_measurement_makes_is_ignored(
    decision: BaseModel, changes: dict[str, Any]
) -> None:
    remember(KEY, decision)
    assert recall(KEY, type(decision)) == decision
    _change(**changes)
    assert recall(KEY, type(decision)) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINNORM_CACHE", str(tmp_path / "cache"))
        remember(KEY, FAST)
        assert recall(KEY, AccelerationDecision) is None
    assert (tmp_path / "cache").read_text() == "a file"


@pytest.mark.parametrize(
    ("samples", "fits"), [(100, True), (128, True), (129, True), (10_000, True)]
)
def test_a_batch_size_beyond_which_nothing_is_gained_holds_for_any_number(
    samples: int, fits: bool
) -> None:
    assert BatchSizeDecision(size=64, most=128).fits(samples) == fits


@pytest.mark.parametrize(("samples", "fits"), [(100, True), (128, True), (129, False)])
def test_the_largest_possible_batch_size_does_not_hold_for_more_samples(
    samples: int, fits: bool
) -> None:
    assert BatchSizeDecision(size=128, most=128).fits(samples) == fits


def test_decisions_depend_on_the_model_the_inputs_the_machine_and_the_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = torch.zeros(2, 3, 4)
    first = circumstances("a", inputs)
    assert circumstances("a", torch.ones(5, 3, 4)) == first
    others = [
        circumstances("b", inputs),
        circumstances("a", inputs.mT),
        circumstances("a", inputs.double()),
    ]
    monkeypatch.setattr(provenance, "versions", lambda: {"minnorm": "1", "torch": "0"})
    others.append(circumstances("a", inputs))
    monkeypatch.undo()
    for changed in ("processor", "instructions", "threads", "gpu"):
        described = {**provenance.hardware(inputs.device), changed: "another"}
        monkeypatch.setattr(provenance, "hardware", lambda _, found=described: found)
        others.append(circumstances("a", inputs))
        monkeypatch.undo()
    assert all(other != first for other in others)
    assert all(isinstance(value, str) for value in first.values())
