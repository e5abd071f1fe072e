"""Data specs: every form, and the error if one does not work."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from minnorm.data import DATA_FORMS, from_arrays, load_data
from minnorm.data.arrays import checksum
from minnorm.errors import InputError
from user_modules import write_module

IMAGES = np.arange(6 * 2 * 2, dtype=np.uint8).reshape(6, 1, 2, 2)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_mnist_sample_is_the_first_1000_images_of_the_mnist_test_set() -> None:
    # The SHA-256 were taken from the first 1,000 of the whole set (its own are in the catalogue).
    data = load_data("mnist-sample")
    inputs, labels = data.batch(range(1000))
    assert inputs.shape == (1000, 1, 28, 28)
    assert labels[:5].tolist() == [7, 2, 1, 0, 4]
    images = (inputs * 255).round().to(torch.uint8)
    assert checksum(images.numpy()) == (
        "f8f3c5a608a9f7d4bd5e9d69b90c53932b8b99371d9db26121b42f62f3abcd56"
    )
    assert checksum(labels.numpy()) == (
        "992b69438d87b900106a411d378c4337fedce245a9d6f4a4d0656e85b022e733"
    )
    assert data.classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("[:3]", range(3)),
        ("[-2:]", range(998, 1000)),
        ("[10:20:4]", range(10, 20, 4)),
        ("[5:2:-1]", range(5, 2, -1)),
        ("[::-400]", range(999, -1, -400)),
        ("[990:5000]", range(990, 1000)),
    ],
)
def test_slices_keep_the_positions_in_the_whole_set(part: str, expected: range) -> None:
    whole, data = load_data("mnist-sample"), load_data(f"mnist-sample{part}")
    assert data.indices == expected
    assert data.batch(range(len(data)))[1].equal(whole.batch(expected)[1])
    assert data.fingerprint == whole.fingerprint


def test_an_empty_slice_is_refused() -> None:
    message = "'mnist-sample[1000:]' is empty: mnist-sample has 1000 samples."
    with pytest.raises(InputError, match=re.escape(message)):
        load_data("mnist-sample[1000:]")


@pytest.fixture(params=["npz", "safetensors"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a file with the arrays of this module."""
    path = tmp_path / f"mine.{request.param}"
    if request.param == "npz":
        np.savez(path, images=IMAGES, labels=LABELS)
    else:
        save_file({"images": IMAGES, "labels": LABELS}, path)
    return path


def test_a_file_is_read(file: Path) -> None:
    data = load_data(f"{file}[1::2]")
    assert data.name == file.name
    inputs, labels = data.batch([0, 1, 2])
    assert inputs.equal(torch.from_numpy(IMAGES[1::2]) / 255)
    assert labels.tolist() == [1, 0, 2]
    assert data.fingerprint == from_arrays("any", IMAGES, LABELS).fingerprint


def test_a_path_may_start_with_the_home_folder(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load_data(f"~/{file.name}")) == 6


def test_a_file_takes_no_arguments(file: Path) -> None:
    with pytest.raises(InputError, match=r"takes no arguments: remove resize"):
        load_data(f"{file}(resize=3)")


@pytest.mark.parametrize("length", [0, 10, 150])
def test_a_truncated_file_is_refused(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(InputError, match=f"{file.name} cannot be read as {file.suffix[1:]}: "):
        load_data(str(file))


def test_a_missing_file_is_refused(file: Path) -> None:
    file.unlink()
    with pytest.raises(FileNotFoundError, match=f"there is no file {re.escape(str(file))}"):
        load_data(str(file))


def test_a_file_without_images_and_labels_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=IMAGES, labels=LABELS)
    with pytest.raises(
        InputError, match=r"mine.npz holds labels, x; expected arrays named 'images'"
    ):
        load_data(str(tmp_path / "mine.npz"))
    np.savez(tmp_path / "mine.npz")
    with pytest.raises(InputError, match=r"mine.npz holds nothing; expected"):
        load_data(str(tmp_path / "mine.npz"))


class Bomb:
    """An object whose pickle writes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.target,)


def test_a_pickle_inside_a_file_is_not_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    np.savez(tmp_path / "mine.npz", images=np.array([Bomb(touched)], object), labels=LABELS[:1])
    with pytest.raises(InputError, match="cannot be read as npz"):
        load_data(str(tmp_path / "mine.npz"))
    assert not touched.exists()


FACTORIES = """
import numpy as np, torch
from torch.utils.data import TensorDataset
from minnorm.data import load_data

def tensors(count=4): return torch.rand(count, 3), torch.arange(count)
def arrays(): return [np.zeros((2, 3)), np.array([0, 1])]
def nested(): return [[0.5, 1.0], [0.0, 0.25]], [0, 1]
def dataset(): return TensorDataset(torch.arange(5.0)[:, None], torch.arange(5))
def data(): return load_data("mnist-sample[:7]")
def number(): return 3
def text(): return "mnist-sample[:3]"
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the module `data_factories` importable from the current folder."""
    write_module("data_factories", FACTORIES, tmp_path, monkeypatch)


@pytest.mark.usefixtures("factories")
@pytest.mark.parametrize(
    ("call", "name", "shape"),
    [
        ("tensors", "data_factories:tensors", (4, 3)),
        ("tensors(count=6)", "data_factories:tensors", (6, 3)),
        ("tensors(count=6)[1:3]", "data_factories:tensors", (2, 3)),
        ("arrays", "data_factories:arrays", (2, 3)),
        ("nested", "data_factories:nested", (2, 2)),
        ("dataset", "data_factories:dataset", (5, 1)),
        ("data", "mnist-sample", (7, 1, 28, 28)),
        ("text", "mnist-sample", (3, 1, 28, 28)),
    ],
)
def test_a_factory_returns_data(call: str, name: str, shape: tuple[int, ...]) -> None:
    data = load_data(f"data_factories:{call}")
    assert data.name == name
    inputs, labels = data.batch(range(len(data)))
    assert inputs.shape == shape
    assert labels.shape == shape[:1]


@pytest.mark.usefixtures("factories")
def test_a_factory_that_returns_something_else_is_refused() -> None:
    with pytest.raises(InputError, match="cannot use int as data: pass a spec such as"):
        load_data("data_factories:number")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("mnits", "unknown data set 'mnits'. Did you mean 'mnist'?"),
        ("mnist-sample/train", "unknown data set 'mnist-sample/train'."),
        ("imagenet", "unknown data set 'imagenet'."),
    ],
)
def test_an_unknown_data_set_is_refused_with_all_forms(spec: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(reason)}") as caught:
        load_data(spec)
    assert str(caught.value).endswith(f"Forms of a data spec: {DATA_FORMS}.")


@pytest.mark.parametrize("name", ["mnist", "mnist-sample"])
def test_a_data_set_takes_no_arguments(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} takes no arguments: remove size"):
        load_data(f"{name}(size=3)")


@pytest.mark.parametrize("name", ["table.csv", "x.parquet", "x.pt", "x.npy", "x.TAR", "cat.png"])
def test_files_of_other_formats_are_refused_with_the_conversion(name: str) -> None:
    with pytest.raises(InputError, match=r"files cannot be read as data; .*numpy.savez"):
        load_data(name)


def test_a_folder_without_its_word_is_recognized(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"is a folder: write folder:{tmp_path}"):
        load_data(str(tmp_path))


@pytest.mark.parametrize("spec", ["zoo:mnist-cnn", "torchvision:resnet18", "hf:cifar10"])
def test_a_model_spec_is_recognized(spec: str) -> None:
    with pytest.raises(InputError, match=f"'{spec}' is a model spec; expected data"):
        load_data(spec)


def test_other_arrays_of_a_file_are_not_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=IMAGES, labels=LABELS, names=np.array(["a", None]))
    assert len(load_data(str(tmp_path / "x.npz"))) == 6


@pytest.mark.parametrize("key", ["images", "labels"])
def test_arrays_of_python_objects_are_called_that(tmp_path: Path, key: str) -> None:
    arrays: dict[str, Any] = {"images": IMAGES, "labels": LABELS}
    np.savez(tmp_path / "x.npz", **{**arrays, key: np.array([{}] * 6)})
    with pytest.raises(InputError, match=f"its array '{key}' holds Python objects, .* run code"):
        load_data(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("name", ["x.npz", "x.safetensors"])
def test_a_named_pipe_is_no_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=r"there is no file .*: it is no regular file"):
        load_data(str(tmp_path / name))


@pytest.mark.parametrize(
    ("part", "warns"), [("[:1001]", True), ("[:1000]", False), ("[5:]", False)]
)
def test_a_slice_that_ends_beyond_the_data_is_told(
    part: str, warns: int, caplog: pytest.LogCaptureFixture
) -> None:
    load_data(f"mnist-sample{part}")
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ([f"'mnist-sample{part}': mnist-sample has only 1000 samples."] * warns)
