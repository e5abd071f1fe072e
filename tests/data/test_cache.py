"""The cache: data sets are stored completely or not at all, and damage is found."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from minnorm.data import cache_folder, is_cached
from minnorm.data.cache import appearing_folder, open_split, store
from minnorm.errors import InputError, MissingFileError

IMAGES = np.arange(5 * 4, dtype=np.uint8).reshape(5, 1, 2, 2)
LABELS = np.arange(5, dtype=np.int64)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an empty cache that the package uses."""
    monkeypatch.setenv("MINNORM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def stored() -> Path:
    """Return the folder of `mnist` in the cache, with content made for the tests."""
    splits = {"train": (IMAGES, LABELS), "test": (IMAGES[::-1], LABELS[::-1])}
    return store("mnist", "the tests", ("zero", "one"), splits)


def test_the_environment_can_set_the_cache_folder(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder() == cache
    monkeypatch.setenv("MINNORM_CACHE", "")
    assert "minnorm" in cache_folder().parts


def test_stored_splits_are_opened(stored: Path) -> None:
    assert sorted(file.name for file in stored.iterdir()) == [
        "card.json",
        "test-images.npy",
        "test-labels.npy",
        "train-images.npy",
        "train-labels.npy",
    ]
    assert is_cached("mnist")
    train, test = open_split("mnist", "train"), open_split("mnist", "test")[:2]
    assert (train.name, train.classes, len(train)) == ("mnist/train", ("zero", "one"), 5)
    inputs, labels = test.batch([0, 1])
    assert torch.equal(inputs, torch.from_numpy(IMAGES[:2:-1].copy()) / 255)
    assert labels.tolist() == [4, 3]


def test_an_unknown_split_is_refused(stored: Path) -> None:
    assert stored.exists()
    with pytest.raises(
        InputError, match=r"unknown split 'valid' of mnist. Available: test, train\."
    ):
        open_split("mnist", "valid")


def test_a_data_set_that_is_not_cached_is_refused_with_the_command_that_fetches_it() -> None:
    assert not is_cached("mnist")
    with pytest.raises(
        MissingFileError, match=r"not in the cache .* with: minnorm data fetch mnist$"
    ):
        open_split("mnist", "test")


AGAIN = r"Replace it with: minnorm data fetch mnist --force"


@pytest.mark.parametrize("file", ["test-images.npy", "test-labels.npy"])
def test_a_flipped_bit_is_found(stored: Path, file: str) -> None:
    content = bytearray((stored / file).read_bytes())
    content[-3] ^= 1
    (stored / file).write_bytes(content)
    with pytest.raises(InputError, match=f"differs from its checksums. {AGAIN}"):
        open_split("mnist", "test")
    assert len(open_split("mnist", "train")) == 5


@pytest.mark.parametrize("file", ["card.json", "test-images.npy", "test-labels.npy"])
@pytest.mark.parametrize("length", [0, 3, 100, -1])
def test_a_truncated_file_is_found(stored: Path, file: str, length: int) -> None:
    content = (stored / file).read_bytes()
    if file == "card.json" and length == -1:
        length = -2  # the last character is a line break
    (stored / file).write_bytes(content[:length])
    with pytest.raises(InputError, match=AGAIN):
        open_split("mnist", "test")


@pytest.mark.parametrize("file", ["test-images.npy", "test-labels.npy"])
def test_a_missing_file_is_found(stored: Path, file: str) -> None:
    (stored / file).unlink()
    with pytest.raises(InputError, match=rf"{file} is no regular file.* {AGAIN}"):
        open_split("mnist", "test")


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        "null",
        '{"splits": {"test": {}}}',
        '{"name": "mnist", "source": "", "classes": [], "splits": "test"}',
        '{"name": 1, "source": "", "classes": [], "splits": {}}',
        "[" * 100_000,
        "\x00\x1b[31m",
    ],
)
def test_a_card_of_another_format_is_found(stored: Path, content: str) -> None:
    (stored / "card.json").write_text(content)
    with pytest.raises(InputError, match=rf"has a card.json that cannot be read .*{AGAIN}"):
        open_split("mnist", "test")


def test_the_card_of_another_data_set_is_found(stored: Path) -> None:
    card = json.loads((stored / "card.json").read_text())
    (stored / "card.json").write_text(json.dumps({**card, "name": "cifar10"}))
    with pytest.raises(InputError, match=f"has the card of 'cifar10'. {AGAIN}"):
        open_split("mnist", "test")


def test_a_folder_without_a_card_is_named(stored: Path) -> None:
    (stored / "card.json").unlink()
    with pytest.raises(InputError, match=rf"{re.escape(str(stored))}, has no card.json. {AGAIN}"):
        open_split("mnist", "test")
    assert not is_cached("mnist")


def test_a_file_in_the_place_of_the_folder_is_found(cache: Path) -> None:
    (cache / "data").mkdir(parents=True)
    (cache / "data" / "mnist").write_text("no folder")
    with pytest.raises(InputError, match=f"has no card.json. {AGAIN}"):
        open_split("mnist", "test")


@pytest.mark.parametrize("file", ["card.json", "test-images.npy", "test-labels.npy"])
def test_a_named_pipe_in_the_cache_does_not_block(stored: Path, file: str) -> None:
    (stored / file).unlink()
    os.mkfifo(stored / file)
    with pytest.raises(InputError, match=rf"{file} is no regular file.* {AGAIN}"):
        open_split("mnist", "test")


def test_an_array_of_python_objects_is_not_loaded(stored: Path) -> None:
    np.save(stored / "test-images.npy", np.array([{}, {}], object))
    with pytest.raises(InputError, match=f"has arrays that cannot be read .*{AGAIN}"):
        open_split("mnist", "test")


def test_the_card_has_the_source_and_the_splits(stored: Path) -> None:
    card = json.loads((stored / "card.json").read_text())
    assert (card["name"], card["source"]) == ("mnist", "the tests")
    assert card["splits"].keys() == {"train", "test"}


def test_storing_again_replaces_everything(stored: Path) -> None:
    store("mnist", "elsewhere", (), {"test": (IMAGES[:1], LABELS[:1])})
    assert not (stored / "train-images.npy").exists()
    assert len(open_split("mnist", "test")) == 1


def _content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else ""
        for path in folder.rglob("*")
        if path.suffix != ".lock"
    }


def test_a_folder_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    with appearing_folder(target) as folder:
        (folder / "file").write_text("new")
        assert not target.exists()
    assert _content(target.parent) == {"target": "", "target/file": "new"}


def test_files_that_a_killed_process_left_are_removed(tmp_path: Path) -> None:
    left = tmp_path / ".target-killed" / "made"
    left.mkdir(parents=True)
    (left / "half.npy").write_bytes(b"half")
    with appearing_folder(tmp_path / "target") as folder:
        (folder / "file").write_text("new")
    assert _content(tmp_path) == {"target": "", "target/file": "new"}


def _interrupted(target: Path, error: type[BaseException]) -> None:
    with appearing_folder(target) as folder:
        (folder / "file").write_text("half")
        raise error


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_block_leaves_no_files(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        _interrupted(tmp_path / "here" / "target", error)
    assert _content(tmp_path / "here") == {}


def test_an_interrupted_block_keeps_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "here" / "target"
    target.mkdir(parents=True)
    (target / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        _interrupted(target, KeyboardInterrupt)
    assert _content(tmp_path / "here") == {"target": "", "target/file": "old"}


def test_a_finished_block_replaces_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "here" / "target"
    target.mkdir(parents=True)
    (target / "old").write_text("old")
    with appearing_folder(target) as folder:
        (folder / "new").write_text("new")
    assert _content(tmp_path / "here") == {"target": "", "target/new": "new"}


def test_a_replacement_that_fails_keeps_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "here" / "target"
    target.mkdir(parents=True)
    (target / "file").write_text("old")
    rename = Path.rename

    def fail_on_the_new_folder(self: Path, aim: Path) -> Path:
        if self.name == "made":
            raise KeyboardInterrupt
        return rename(self, aim)

    monkeypatch.setattr(Path, "rename", fail_on_the_new_folder)
    with pytest.raises(KeyboardInterrupt), appearing_folder(target) as folder:
        (folder / "file").write_text("new")
    assert _content(tmp_path / "here") == {"target": "", "target/file": "old"}
