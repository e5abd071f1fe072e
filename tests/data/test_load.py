"""Data specs: every form, and the error if one does not work."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch.utils.data import DataLoader, TensorDataset

from minnorm.data import DATA_FORMS, Data, as_data, from_arrays, load_data
from minnorm.data.dataset import checksum
from minnorm.errors import InputError, MissingLibraryError

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of 8 x 6 images of one color: 2 green cats, 1 blue dog."""
    for name, color in (("cat/1", (0, 255, 0)), ("cat/2", (0, 51, 0)), ("dog/1", (0, 0, 255))):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), color).save(path)
    return tmp_path / "photos"


def test_a_folder_of_images_is_read(folder: Path) -> None:
    data = load_data(f"folder:{folder}")
    assert (data.name, data.classes, len(data)) == ("photos", ("cat", "dog"), 3)
    inputs, labels = data.batch([0, 1, 2])
    assert inputs.shape == (3, 3, 6, 8)
    assert labels.tolist() == [0, 0, 1]
    expected = torch.tensor([[0, 1, 0], [0, 0.2, 0], [0, 0, 1]])
    torch.testing.assert_close(inputs, expected[:, :, None, None].expand_as(inputs))


def test_resize_scales_the_shorter_side_and_crop_cuts_out_the_center(folder: Path) -> None:
    def shape(arguments: str) -> list[int]:
        return list(load_data(f"folder:{folder}({arguments})").batch([0])[0].shape[2:])

    assert shape("resize=12") == [12, 16]
    assert shape("crop=4") == [4, 4]
    assert shape("resize=12, crop=10") == [10, 10]


def test_the_crop_is_the_center_of_the_resized_image(tmp_path: Path) -> None:
    gradient = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (12, 1))
    (tmp_path / "photos" / "only").mkdir(parents=True)
    Image.fromarray(gradient).save(tmp_path / "photos" / "only" / "1.png")
    inputs, _ = load_data(f"folder:{tmp_path / 'photos'}(crop=2)").batch([0])
    columns = (inputs[0, 0, 0] * 255).round().tolist()
    assert columns == [110, 120]
    assert inputs[0].equal(inputs[0, :1].expand(3, 2, 2))  # gray becomes three equal channels


def test_imagenet_is_a_folder_resized_to_256_and_cropped_to_224(folder: Path) -> None:
    inputs, _ = load_data(f"imagenet:{folder}[:1]").batch([0])
    assert inputs.shape == (1, 3, 224, 224)
    assert load_data(f"imagenet:{folder}(crop=32)").batch([0])[0].shape == (1, 3, 32, 32)
    same = load_data(f"folder:{folder}(resize=256, crop=224)")
    assert load_data(f"imagenet:{folder}").fingerprint == same.fingerprint


def test_the_fingerprint_of_a_folder_changes_with_an_image(folder: Path) -> None:
    before = load_data(f"folder:{folder}").fingerprint
    assert load_data(f"folder:{folder}").fingerprint == before
    Image.new("RGB", (8, 6), (1, 0, 0)).save(folder / "dog" / "1.png")
    assert load_data(f"folder:{folder}").fingerprint != before


def test_images_of_different_sizes_are_refused_unless_they_are_resized(folder: Path) -> None:
    Image.new("RGB", (9, 9)).save(folder / "dog" / "2.png")
    with pytest.raises(
        InputError, match=r"cannot be stacked .*folder:PATH\(resize=256, crop=224\)"
    ):
        load_data(f"folder:{folder}")
    inputs, _ = load_data(f"folder:{folder}(resize=6, crop=6)").batch([0, 3])
    assert inputs.shape == (2, 3, 6, 6)


def test_a_folder_without_images_in_subfolders_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_data(f"folder:{tmp_path}/nothing")
    with pytest.raises(
        InputError, match="is not a folder of images: expected one folder per class"
    ):
        load_data(f"folder:{folder / 'cat'}")
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="is not a folder of images"):
        load_data(f"folder:{folder}")


def test_a_damaged_image_is_named(folder: Path) -> None:
    (folder / "cat" / "1.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"1\.png"):
        load_data(f"folder:{folder}")


@pytest.mark.parametrize("scheme", ["folder", "imagenet"])
@pytest.mark.parametrize("arguments", ["size=3", "path='x'"])
def test_a_folder_takes_only_resize_and_crop(folder: Path, scheme: str, arguments: str) -> None:
    with pytest.raises(
        InputError, match=r"unknown parameter '(size|path)' of \w+:.* Available: crop, resize"
    ):
        load_data(f"{scheme}:{folder}({arguments})")


@pytest.mark.parametrize("arguments", ["resize='big'", "crop='big'", "resize=-3", "crop=0"])
def test_a_size_that_is_not_a_positive_number_is_refused(folder: Path, arguments: str) -> None:
    with pytest.raises(InputError, match=re.escape(arguments)):
        load_data(f"folder:{folder}({arguments})")


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
    (tmp_path / "data_factories.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "data_factories", raising=False)


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


def test_as_data_takes_data_specs_pairs_and_data_sets() -> None:
    images, labels = torch.rand(4, 2), torch.tensor([0, 1, 0, 1])
    data = from_arrays("mine", images, labels)
    assert as_data(data) is data
    assert as_data("mnist-sample[:5]").indices == range(5)
    for value in (
        (images, labels),
        [images.numpy(), labels.numpy()],
        TensorDataset(images, labels),
    ):
        made: Data = as_data(value, "given")
        assert made.name == "given"
        assert made.batch(range(4))[0].equal(images)


def test_a_data_loader_is_refused_with_the_alternative() -> None:
    loader = DataLoader(TensorDataset(torch.rand(2, 1), torch.tensor([0, 1])))
    with pytest.raises(
        InputError, match=r"cannot use DataLoader .* \(for a DataLoader, its .dataset"
    ):
        as_data(loader)


@pytest.mark.parametrize("value", [None, 3, object()])
def test_as_data_refuses_other_values(value: object) -> None:
    with pytest.raises(InputError, match=f"cannot use {type(value).__name__} as data"):
        as_data(value)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("mnits", "unknown data set 'mnits'. Did you mean 'mnist'?"),
        ("mnist-sample/train", "unknown data set 'mnist-sample/train'."),
        ("imagenet", "unknown data set 'imagenet'."),
        ("images.csv", "unknown data set 'images.csv'."),
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


@pytest.mark.parametrize("value", [True, 2.5])
def test_a_size_that_is_not_a_whole_number_is_refused(folder: Path, value: object) -> None:
    with pytest.raises(InputError, match=f"resize={value}: expected a whole number of at least 1"):
        load_data(f"folder:{folder}(resize={value})")


def test_a_folder_requires_torchvision(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[vision\]'"):
        load_data(f"folder:{folder}")
