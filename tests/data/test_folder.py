"""Folders of images: samples, labels, and what is said about them."""

import logging
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from minnorm.data import load_data
from minnorm.errors import InputError, MissingLibraryError


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
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*/nothing/at/all\.$"):
        load_data(f"folder:{tmp_path}/nothing/at/all")
    with pytest.raises(FileNotFoundError, match=f"Did you mean 'folder:{folder}'"):
        load_data(f"folder:{folder}s")
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


@pytest.mark.parametrize("value", [True, 2.5])
def test_a_size_that_is_not_a_whole_number_is_refused(folder: Path, value: object) -> None:
    with pytest.raises(InputError, match=f"resize={value}: expected a whole number of at least 1"):
        load_data(f"folder:{folder}(resize={value})")


def test_a_folder_requires_torchvision(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.transforms", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[vision\]'"):
        load_data(f"folder:{folder}")


def _messages(caplog: pytest.LogCaptureFixture, level: int) -> str:
    return " ".join(r.getMessage() for r in caplog.records if r.levelno == level)


def test_the_labels_of_the_classes_are_logged(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="minnorm"):
        load_data(f"folder:{folder}")
    assert "photos: 3 images in 2 classes: 0 = cat, 1 = dog" in _messages(caplog, logging.INFO)


def test_what_is_left_out_is_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("cat/list.txt", "cat/clip.gif", ".cache/1.png", "cat/._1.png", "cover.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no image")
    data = load_data(f"folder:{folder}")
    assert (len(data), data.classes) == (3, ("cat", "dog"))
    assert (
        "photos: left out 2 files with other endings, 2 hidden, 1 outside the folders of the"
        in _messages(caplog, logging.WARNING)
    )


@pytest.mark.parametrize("color", [1, 128, 254])
def test_16_bit_images_have_the_brightness_of_8_bit_ones(folder: Path, color: int) -> None:
    deep = Image.fromarray(np.full((6, 8), 257 * color, np.uint16))
    deep.save(folder / "cat" / "3.png")
    deep.save(folder / "cat" / "4.tiff")
    Image.new("L", (8, 6), color).save(folder / "cat" / "5.png")
    inputs, _ = load_data(f"folder:{folder}(resize=12, crop=10)").batch([2, 3, 4])
    assert inputs.shape == (3, 3, 10, 10)
    torch.testing.assert_close(inputs, torch.full_like(inputs, color / 255))


def test_images_have_the_scale_of_the_bounds(folder: Path) -> None:
    Image.fromarray(np.full((6, 8), 65535, np.uint16)).save(folder / "cat" / "3.png")
    inputs, _ = load_data(f"folder:{folder}").within((0, 255)).batch([1, 2])
    assert inputs[:, 1, 0, 0].tolist() == [51, 255]


def test_an_image_of_unclear_scale_is_named(folder: Path) -> None:
    Image.fromarray(np.full((6, 8), 7.5, np.float32)).save(folder / "dog" / "2.tif")
    with pytest.raises(InputError, match=r"dog/2\.tif\) cannot be used: its floating-point pixels"):
        load_data(f"folder:{folder}")


def test_a_folder_with_images_of_no_class_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"expected one folder per class .* Left out: 2 outside"):
        load_data(f"folder:{folder / 'cat'}")


def test_the_classes_without_images_are_named(folder: Path) -> None:
    (folder / "ant").mkdir()
    with pytest.raises(InputError, match=r"found none in ant\. Remove folders that are"):
        load_data(f"folder:{folder}")


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(InputError, match=r"1\.png: it is a file, not a folder"):
        load_data(f"folder:{folder / 'cat' / '1.png'}")
    with pytest.raises(InputError, match="'folder:' has no path: write folder:PATH"):
        load_data("folder:")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Return a folder of 3 classes of 4 images."""
    for label in "abc":
        (tmp_path / "many" / label).mkdir(parents=True)
        for number in range(4):
            Image.new("L", (2, 2)).save(tmp_path / "many" / label / f"{number}.png")
    return tmp_path / "many"


@pytest.mark.parametrize(
    ("part", "held"), [("[:4]", 1), ("[6:]", 2), ("[2:6]", 2), ("[:5:-1]", 2), ("[:6:2]", 2)]
)
def test_a_slice_of_a_folder_warns(
    many: Path, caplog: pytest.LogCaptureFixture, part: str, held: int
) -> None:
    data = load_data(f"folder:{many}{part}")
    assert len(caplog.records) == 1
    assert f"has {held} of the 3 classes" in caplog.records[0].getMessage()
    assert data.warnings == (caplog.records[0].getMessage(),)


@pytest.mark.parametrize("part", ["", "[:]", "[::2]", "[::4]", "[1::3]", "[::-1]"])
def test_evenly_spaced_samples_of_a_folder_do_not_warn(
    many: Path, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    assert load_data(f"folder:{many}{part}").warnings == ()
    assert not caplog.records


def test_numbered_folders_whose_labels_are_other_numbers_warn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(11):
        (tmp_path / "digits" / str(number)).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / "digits" / str(number) / "1.png")
    data = load_data(f"folder:{tmp_path / 'digits'}")
    assert "folder 10 has label 2" in caplog.text
    assert len(data.warnings) == 1
    (tmp_path / "digits" / "10").rename(tmp_path / "digits" / ".10")
    assert load_data(f"folder:{tmp_path / 'digits'}").warnings == ()


def test_imagenet_with_fewer_folders_than_classes_warns(folder: Path) -> None:
    (warning,) = load_data(f"imagenet:{folder}").warnings
    assert "photos has 2 folders of classes, ImageNet 1000" in warning


@pytest.mark.parametrize(
    ("names", "warns"), [(("train", "val"), True), (("Test",), True), (("train", "bus"), False)]
)
def test_folders_named_like_splits_warn(
    tmp_path: Path, names: tuple[str, ...], warns: bool
) -> None:
    for name in names:
        (tmp_path / "photos" / name / "cat").mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / "photos" / name / "cat" / "1.png")
    found = load_data(f"folder:{tmp_path / 'photos'}").warnings
    assert [text for text in found if "like splits of a data set" in text] == list(found)
    assert bool(found) == warns
