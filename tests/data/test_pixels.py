"""Pictures of any bit depth and color mode: the same brightness everywhere."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from minnorm.data.pixels import is_picture, picture_tensor, shown
from minnorm.errors import InputError

SHARES = np.array([[0.0, 0.2], [0.6, 1.0]])
"""The brightness of the test pictures: 0 is black, 1 is white."""


def _reopened(picture: Image.Image, kind: str, **options: Any) -> Image.Image:
    """Return a picture after a round trip through a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return Image.open(file)


def _scaled(white: int, dtype: Any) -> np.ndarray[Any, Any]:
    return (SHARES * white).round().astype(dtype)


def _tagged(values: np.ndarray[Any, Any], tag: int, old: int, new: int) -> Image.Image:
    """Return a TIFF with another value of a tag: Pillow reads such files, but writes none."""
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF", tiffinfo={tag: old})
    before, after = (struct.pack("<HHIHH", tag, 3, 1, value, 0) for value in (old, new))
    assert before in file.getvalue()
    return Image.open(io.BytesIO(file.getvalue().replace(before, after)))


GRAY: dict[str, Callable[[], Image.Image]] = {
    "8-bit PNG": lambda: _reopened(Image.fromarray(_scaled(255, np.uint8)), "PNG"),
    "16-bit PNG": lambda: _reopened(Image.fromarray(_scaled(65535, np.uint16)), "PNG"),
    "16-bit TIFF": lambda: _reopened(Image.fromarray(_scaled(65535, np.uint16)), "TIFF"),
    "32-bit TIFF": lambda: _reopened(Image.fromarray(_scaled(2**31 - 1, np.int32)), "TIFF"),
    "32-bit TIFF without a sign": lambda: _tagged(
        _scaled(2**32 - 1, np.uint32).view(np.int32), 339, 2, 1
    ),
    "float TIFF in which 0 is white": lambda: _tagged((1 - SHARES).astype(np.float32), 262, 1, 0),
    "float TIFF": lambda: _reopened(Image.fromarray(SHARES.astype(np.float32)), "TIFF"),
    "PGM of 10 bits": lambda: Image.open(
        io.BytesIO(b"P5 2 2 1023\n" + _scaled(1023, ">u2").tobytes())
    ),
    "big-endian": lambda: Image.frombytes("I;16B", (2, 2), _scaled(65535, ">u2").tobytes()),
    "transparent": lambda: Image.merge(
        "LA", (Image.fromarray(_scaled(255, np.uint8)), Image.new("L", (2, 2), 0))
    ),
}


@pytest.mark.parametrize("kind", GRAY)
def test_gray_pictures_of_any_depth_have_the_same_brightness(kind: str) -> None:
    pixels = picture_tensor(GRAY[kind]())
    assert pixels.dtype == torch.float32
    expected = torch.tensor(255 * SHARES[None], dtype=torch.float32)
    torch.testing.assert_close(pixels, expected, rtol=0, atol=0.2)
    color = np.asarray(shown(GRAY[kind](), color=True), np.float32).reshape(2, 2, -1)
    np.testing.assert_allclose(color.min(2), expected[0], atol=0.2)
    np.testing.assert_allclose(color.max(2), expected[0], atol=0.2)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "P", "PA"])
def test_color_pictures_become_three_channels(mode: str) -> None:
    picture = Image.new("RGB", (2, 2), (255, 0, 0)).convert("RGBA").convert("RGB")
    pixels = picture_tensor(
        picture.quantize(4).convert(mode) if mode == "PA" else picture.convert(mode)
    )
    assert pixels.shape == (3, 2, 2)
    torch.testing.assert_close(pixels[:, 0, 0], torch.tensor([255.0, 0.0, 0.0]), rtol=0, atol=2)


def test_1_bit_pictures_are_black_and_white() -> None:
    picture = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    assert picture_tensor(picture).tolist() == [[[0, 255], [255, 0]]]


def test_transparency_is_ignored() -> None:
    assert picture_tensor(Image.new("RGBA", (1, 1), (10, 20, 30, 0))).flatten().tolist() == [
        10,
        20,
        30,
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.array([[0, 300]], np.int32),
            "32-bit pixels reach only 300 of 2147483647, nearly black",
        ),
        (np.array([[-1, 2**30]], np.int32), "its pixels are -1 to .*; expected none below 0"),
        (np.array([[0, 255]], np.float32), "floating-point pixels are 0 to 255; expected 0"),
        (np.array([[-0.5, 1]], np.float32), "floating-point pixels are -0.5 to 1; expected 0"),
        (np.array([[0, np.nan]], np.float32), "floating-point pixels are nan to nan"),
    ],
)
def test_pictures_of_unclear_scale_are_refused(values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        picture_tensor(_reopened(Image.fromarray(values), "TIFF"))


def test_8_bit_numbers_with_a_sign_are_refused() -> None:
    with pytest.raises(InputError, match="its 8-bit pixels have a sign"):
        picture_tensor(_tagged(_scaled(127, np.uint8), 339, 1, 2))


def test_integers_of_a_picture_that_is_no_file_have_32_bits() -> None:
    with pytest.raises(InputError, match="its 32-bit pixels reach only 255 of 2147483647"):
        picture_tensor(Image.fromarray(np.full((2, 2), 255, np.int32)))
    white = Image.fromarray(np.full((1, 1), 2**31 - 1, np.int32))
    assert picture_tensor(white).tolist() == [[[255]]]


def test_a_black_picture_is_black() -> None:
    assert picture_tensor(Image.fromarray(np.zeros((2, 2), np.int32))).tolist() == [
        [[0, 0], [0, 0]]
    ]


def test_pictures_are_recognized() -> None:
    assert is_picture(_reopened(Image.new("L", (2, 2)), "PNG"))
    assert not is_picture(np.zeros((2, 2)))
