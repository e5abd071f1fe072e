"""The log for TensorBoard."""

import importlib.util
from pathlib import Path
from unittest.mock import Mock

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from minnorm.training.tensorboard_log import TensorBoardLog


def write(folder: Path, *losses: float, first: int = 1) -> None:
    log = TensorBoardLog(folder)
    for epoch, loss in enumerate(losses, first):
        log.write({"epoch": epoch, "loss": loss})
    log.close()


def shown(folder: Path) -> dict[int, float]:
    events = EventAccumulator(str(folder)).Reload()
    return {event.step: event.value for event in events.Scalars("loss")}


def test_each_measurement_has_its_epoch(tmp_path: Path) -> None:
    write(tmp_path, 0.5, 0.25)
    assert shown(tmp_path) == {1: 0.5, 2: 0.25}


def test_an_epoch_that_is_trained_again_is_shown_once(tmp_path: Path) -> None:
    write(tmp_path, 0.5, 0.25, 0.125)
    write(tmp_path, 0.75, first=2)
    assert shown(tmp_path) == {1: 0.5, 2: 0.75}


def test_without_tensorboard_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    write(tmp_path / "log", 0.5)
    assert not (tmp_path / "log").exists()


def test_a_full_disk_causes_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = OSError(28, "No space left on device")
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", Mock(side_effect=full))
    write(tmp_path, 0.5)
    assert "TensorBoard's log was not written ([Errno 28] No space left" in caplog.text
    writer = Mock(flush=Mock(side_effect=full), close=Mock(side_effect=full))
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", Mock(return_value=writer))
    write(tmp_path, 0.5)
    writer.close.assert_called_once()
