"""Checkpoints: complete or absent, and the one before them."""

import errno
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from minnorm.errors import RunConflictError
from minnorm.training import checkpoints
from training.small_runs import files_in, on_full_disk


def state_after(epoch: int, network: nn.Module | None = None) -> dict[str, Any]:
    """Return the state of a run after an epoch."""
    return {
        "network": network or nn.Linear(30, 20),
        "epoch": epoch,
        "kept": {},
        "kept_epoch": epoch,
        "log": [{"epoch": number + 1} for number in range(epoch)],
        "sessions": [],
        "fingerprints": {},
    }


@pytest.fixture
def folder(fabric: Fabric, tmp_path: Path) -> Path:
    """Return a folder with the checkpoints of two epochs."""
    for epoch in (1, 2):
        checkpoints.save(fabric, tmp_path, state_after(epoch))
    return tmp_path


def epoch_in(fabric: Fabric, folder: Path) -> int | None:
    found = checkpoints.newest(fabric, folder)
    return None if found is None else found.state["epoch"]


def test_the_last_checkpoint_and_the_one_before_are_kept(fabric: Fabric, tmp_path: Path) -> None:
    assert not checkpoints.exist(tmp_path)
    assert checkpoints.newest(fabric, tmp_path) is None
    for epoch in (1, 2, 3):
        checkpoints.save(fabric, tmp_path, state_after(epoch))
        assert checkpoints.exist(tmp_path)
        assert epoch_in(fabric, tmp_path) == epoch
    assert {file.name for file in files_in(tmp_path)} == {"last.ckpt", "before.ckpt", "log.jsonl"}
    before = torch.load(tmp_path / "before.ckpt", weights_only=True)
    assert before["epoch"] == 2
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == state_after(3)["log"]
    (tmp_path / "last.ckpt").unlink()
    assert checkpoints.exist(tmp_path)
    assert epoch_in(fabric, tmp_path) == 2


def _cut(content: bytes, length: int) -> bytes:
    return content[:length]


def _overwritten(content: bytes, share: float) -> bytes:
    place = int(share * len(content))
    damaged = bytes(byte ^ 255 for byte in content[place : place + 64])
    return content[:place] + damaged + content[place + 64 :]


@pytest.mark.parametrize(
    "damage",
    [
        *(partial(_cut, length=length) for length in (0, 10, 1000, -1)),
        *(partial(_overwritten, share=share) for share in (0.01, 0.25, 0.5, 0.75, 0.99)),
    ],
    ids=["empty", "10 bytes", "1000 bytes", "a byte less", "1 %", "25 %", "50 %", "75 %", "99 %"],
)
def test_instead_of_a_damaged_checkpoint_the_one_before_is_read(
    fabric: Fabric,
    folder: Path,
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    last = folder / "last.ckpt"
    last.write_bytes(damage(last.read_bytes()))
    before = files_in(folder)
    found = checkpoints.newest(fabric, folder)
    assert found is not None
    assert (found.path, found.damaged) == (folder / "before.ckpt", [last])
    assert found.state["epoch"] == 1
    assert "last.ckpt is damaged" in caplog.text
    assert files_in(folder) == before


def test_without_a_readable_checkpoint_there_is_none(
    fabric: Fabric, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("last.ckpt", "before.ckpt"):
        (folder / name).write_bytes(b"PK")
    assert checkpoints.newest(fabric, folder) is None
    assert "can be read: the training starts from the beginning" in caplog.text


def test_a_pickle_is_damaged_and_not_run(fabric: Fabric, folder: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (folder / "was run",))

    torch.save({"epoch": Attack()}, folder / "last.ckpt")
    assert epoch_in(fabric, folder) == 1
    assert not (folder / "was run").exists()


def test_a_checkpoint_of_something_else_than_values_is_damaged(
    fabric: Fabric, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save([1, 2], folder / "last.ckpt")
    assert epoch_in(fabric, folder) == 1
    assert "it holds a list" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", "x"),
        ("epoch", -5),
        ("epoch", 0),
        ("epoch", 7),
        ("kept", None),
        ("kept_epoch", "x"),
        ("log", 5),
        ("sessions", None),
        ("fingerprints", 5),
    ],
)
def test_a_checkpoint_of_another_form_is_refused(
    fabric: Fabric, folder: Path, name: str, value: object
) -> None:
    state = torch.load(folder / "last.ckpt", weights_only=True)
    torch.save({**state, name: value}, folder / "last.ckpt")
    with pytest.raises(
        RunConflictError, match=rf"last.ckpt belongs to another network.* .in {name}."
    ):
        checkpoints.newest(fabric, folder)


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), MemoryError("no memory")]
)
def test_a_disk_or_memory_that_fails_is_no_damage(
    fabric: Fabric, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(torch, "load", Mock(side_effect=error))
    with pytest.raises(type(error), match=r"Input/output error|no memory"):
        checkpoints.newest(fabric, folder)


@pytest.mark.parametrize("error", [OSError, RuntimeError])
def test_a_full_disk_leaves_the_earlier_checkpoint(
    fabric: Fabric,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    before = files_in(folder)
    monkeypatch.setattr(torch, "save", on_full_disk(torch.save, {1}, error))
    checkpoints.save(fabric, folder, state_after(3))
    assert "no checkpoint was written (No space left on device)" in caplog.text
    assert files_in(folder) == before


def test_a_log_that_cannot_be_written_does_not_cost_the_checkpoint(
    fabric: Fabric, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checkpoints, "write_log", Mock(side_effect=OSError("No space left")))
    checkpoints.save(fabric, folder, state_after(3))
    assert "the log was not written (No space left)" in caplog.text
    assert epoch_in(fabric, folder) == 3


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_kill_while_a_checkpoint_takes_its_place_leaves_one(
    fabric: Fabric, folder: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    rename, done = Path.replace, 0

    def killed(path: Path, target: Path) -> Path:
        nonlocal done
        if done == renames:
            raise KeyboardInterrupt
        done += 1
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(fabric, folder, state_after(3))
    assert epoch_in(fabric, folder) == 2


def test_a_checkpoint_is_restored_into_the_parts_of_a_state(
    fabric: Fabric, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network = nn.Linear(30, 20)
    checkpoints.save(fabric, folder, state_after(3, network))
    found = checkpoints.newest(fabric, folder)
    assert found is not None
    (folder / "log.jsonl").unlink()
    state = state_after(0)
    checkpoints.restore(fabric, folder, found, state)
    assert state["network"] is not network
    assert state["network"].weight.equal(network.weight)
    assert {name: state[name] for name in ("epoch", "kept_epoch")} == {"epoch": 3, "kept_epoch": 3}
    assert len((folder / "log.jsonl").read_text().splitlines()) == 3
    assert caplog.text == ""


def test_after_restoring_damaged_files_are_gone(
    fabric: Fabric, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "last.ckpt").write_bytes(b"PK")
    found = checkpoints.newest(fabric, folder)
    assert found is not None
    checkpoints.restore(fabric, folder, found, state_after(0))
    assert "before.ckpt, after epoch 1" in caplog.text
    assert not (folder / "last.ckpt").exists()
    checkpoints.save(fabric, folder, state_after(2))
    assert epoch_in(fabric, folder) == 2
    assert torch.load(folder / "before.ckpt", weights_only=True)["epoch"] == 1


def test_a_checkpoint_of_another_network_is_refused_and_left_alone(
    fabric: Fabric, folder: Path
) -> None:
    found = checkpoints.newest(fabric, folder)
    assert found is not None
    before = files_in(folder)
    with pytest.raises(RunConflictError, match=r"last.ckpt belongs to another network, or to ano"):
        checkpoints.restore(fabric, folder, found, state_after(0, nn.Linear(31, 20)))
    with pytest.raises(RunConflictError, match=r"another version \(KeyError: 'average'\)"):
        checkpoints.restore(fabric, folder, found, {**state_after(0), "average": nn.Linear(1, 1)})
    assert files_in(folder) == before
