"""Files written completely or not at all, and folders locked by one process."""

import errno
import os
import re
import stat
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors import safe_open

from minnorm.errors import InputError, RunConflictError
from minnorm.files import (
    LOCK,
    file_sha256,
    lock_folder,
    named_by,
    remove_partial_files,
    write_atomically,
    write_content,
    write_tensors,
)


def test_a_file_is_written_and_replaces_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, lambda path: path.write_text("old"))
    assert target.read_text() == "old"
    write_atomically(target, lambda path: path.write_text("new"))
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def write(path: Path) -> None:
        path.write_text("new")
        assert path != target
        assert path.parent == target.parent  # a rename within a folder is atomic
        assert target.read_text() == "old"

    write_atomically(target, write)
    assert target.read_text() == "new"


def test_the_error_of_a_full_disk_names_the_file(tmp_path: Path) -> None:
    def write(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/file'"):
        write_atomically(tmp_path / "file", write)


LONG = 252 * "x"
"""A name that leaves no room for that of a temporary file."""


def test_the_error_of_a_file_that_cannot_be_made_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=f"/{LONG}'$"):
        write_atomically(tmp_path / LONG, lambda path: path.write_text("content"))


def test_a_file_that_the_user_named_is_written_into_a_new_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with named_by("--out", path):
        write_content(path, b"content")
    assert path.read_bytes() == b"content"


def test_a_file_that_cannot_be_written_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, reason in (
        (tmp_path / LONG, os.strerror(errno.ENAMETOOLONG)),
        (tmp_path / "file" / "inside", f"{tmp_path / 'file'} is no folder"),
    ):
        message = f"{path} cannot be written: {reason}. Name another place with --junit."
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"), named_by("--junit", path):
            write_content(path, b"content")


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def write(path: Path) -> None:
        path.write_text("half")
        raise error

    with pytest.raises(error):
        write_atomically(target, write)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_has_the_usual_permissions_whatever_the_writer_sets(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("content")
        path.chmod(0o600)

    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "file", write)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_tensors_are_written_with_their_metadata(tmp_path: Path) -> None:
    tensors = {"a": torch.rand(2, 3), "b": torch.arange(4)}
    write_tensors(tmp_path / "file", tensors, {"architecture": "mnist_cnn"})
    with safe_open(tmp_path / "file", framework="pt") as file:
        assert file.metadata() == {"architecture": "mnist_cnn"}
        assert all(torch.equal(file.get_tensor(name), value) for name, value in tensors.items())
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_folder_is_locked_by_one_process_until_it_releases_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    first, second = (FileLock(folder / LOCK, timeout=0, is_singleton=False) for _ in range(2))
    lock_folder(first, folder)
    with pytest.raises(RunConflictError, match=r"another process is working in .*run: wait until"):
        lock_folder(second, folder)
    first.release()
    lock_folder(second, folder)
    second.release()


def test_a_folder_below_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    folder = tmp_path / "runs" / "first"
    with pytest.raises(
        InputError, match=r"first cannot be used as a folder: Not a directory\. Name"
    ):
        lock_folder(FileLock(folder / LOCK, timeout=0), folder)


def test_partial_files_are_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = ["file", "file.tmp", ".hidden", "folder/.file.tmp"]
    removed = [".file.1234.tmp", "other/.file.5.tmp"]
    for name in kept + removed:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    remove_partial_files(tmp_path, tmp_path / "other", tmp_path / "missing")
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(kept)


def test_the_sha256_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    target = tmp_path / "file"
    written = write_content(target, b"abc")
    assert written == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(target) == written
    written = write_tensors(target, {"a": torch.ones(2)})
    assert file_sha256(target) == written
    target.write_bytes(b"abd")
    assert file_sha256(target) != written
