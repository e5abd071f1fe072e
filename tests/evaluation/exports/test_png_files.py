"""PNG files: names that any system allows, and pixels that come back as they were."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from minnorm.errors import InputError
from minnorm.evaluation.exports.png_files import check_images, file_name, read_png, write_png

ROW = {"index": 12, "label": 0, "target": None}


@pytest.mark.parametrize(
    ("row", "prediction", "classes", "expected"),
    [
        (ROW, 1, (), "000012_0_1.png"),
        (ROW, 1, ("0", "1"), "000012_0_1.png"),
        (ROW, -1, ("cat", "dog"), "000012_0-cat_nan.png"),
        (ROW, 2, ("cat", "dog"), "000012_0-cat_2.png"),
        ({**ROW, "target": 1}, 1, ("cat", "dog"), "000012_0-cat_to-1_1-dog.png"),
        (ROW, 1, ("../../etc/passwd", "<img src=x onerror=alert(1)>"),
         "000012_0-etc-passwd_1-img-src-x-onerror-alert-1.png"),
        (ROW, 1, ("猫", "a\x1b[31m\nb" + 50 * "c"), "000012_0_1-a-31m-b" + 23 * "c" + ".png"),
    ],
)  # fmt: skip
def test_names_are_safe(
    row: dict[str, int | None], prediction: int, classes: tuple[str, ...], expected: str
) -> None:
    assert file_name(row, prediction, classes) == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_come_back_and_other_programs_see_the_same(tmp_path: Path, channels: int) -> None:
    image = torch.randint(0, 256, (channels, 5, 7), dtype=torch.uint8)
    path = tmp_path / "image.png"
    write_png(path, image)
    assert read_png(path).equal(image)
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L" if channels == 1 else "RGB")
        assert picture.size == (7, 5)
        first = picture.getpixel((3, 2))
    assert first == (int(image[0, 2, 3]) if channels == 1 else tuple(image[:, 2, 3].tolist()))


@pytest.mark.parametrize("shape", [(4,), (2, 4, 4), (4, 4), (4, 4, 3), (1, 1, 4, 4)])
def test_other_shapes_are_no_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"the samples have the shape \[.*Export them as npz"):
        check_images(torch.zeros(2, *shape))
    check_images(torch.zeros(2, 1, 4, 4))
