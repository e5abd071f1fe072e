"""Pictures of any bit depth and color mode, as pixels from 0 (black) to 255 (white)."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.data.arrays import Array
from minnorm.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

_BITS, _PHOTOMETRIC, _FORMAT = 258, 262, 339
"""The tags of a TIFF file: bits of a value, whether 0 is white, and whether values have a sign."""

_WHITE_IS_ZERO, _SIGNED = 0, 2


def is_picture(value: object) -> bool:
    """Return whether a value is an image of Pillow, without importing that library."""
    return any(
        base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__
    )


def shown(picture: "Image", *, color: bool) -> "Image":
    """Return a picture with pixels from 0 to 255.

    Pictures of 1 to 8 bits per value become mode `RGB` (or `L` if gray is kept). Gray pictures of
    16 or 32 bits become mode `F`, scaled by their bit depth, and floating-point ones from 0..1;
    nothing is rounded. Transparency is ignored, and CMYK is converted without a color profile.

    Args:
        picture: The picture.
        color: Whether gray pictures of 8 bits become `RGB` too.

    Raises:
        InputError: If the scale of the values is unclear.
    """
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray((255 * _brightness(picture)).astype(np.float32))
    tags: Any = getattr(picture, "tag_v2", {})
    if picture.mode == "L" and _first(tags, _FORMAT, 1) == _SIGNED:
        raise InputError("its 8-bit pixels have a sign: save them as numbers from 0 to 255")
    gray = picture.mode in ("1", "L", "LA", "La")
    return picture.convert("L" if gray and not color else "RGB")


def picture_tensor(picture: "Image") -> Float[Tensor, "c h w"]:
    """Return the pixels of a picture as float32 in 0..255: one channel if it is gray, else three.

    Raises:
        InputError: If the scale of the values is unclear.
    """
    array = np.asarray(shown(picture, color=False), np.float32)
    return torch.from_numpy(np.array(array.reshape(*array.shape[:2], -1).transpose(2, 0, 1)))


def _brightness(picture: "Image") -> Array:
    """Return the values of a gray picture of more than 8 bits on the scale 0..1."""
    values: Array = np.asarray(picture)
    tags: Any = getattr(picture, "tag_v2", {})
    if picture.mode == "F":
        if not ((values >= 0) & (values <= 1)).all():  # this refuses NaN too
            raise InputError(
                f"its floating-point pixels are {values.min():g} to {values.max():g}; expected 0 "
                "(black) to 1 (white)"
            )
        return _from_black(values.astype(np.float64), tags)
    # Without the tags of a TIFF: files of other formats have at most 16 bits.
    deep = picture.mode == "I" and picture.format not in ("PNG", "PPM")
    signed = _first(tags, _FORMAT, _SIGNED if deep and not tags else 1) == _SIGNED
    bits = _first(tags, _BITS, 32 if deep else 16)
    if bits == 32 and not signed:
        values = values.view(np.uint32)  # Pillow reads them as if they had a sign
    white = 2 ** (bits - signed) - 1
    largest = int(values.max())
    if values.min() < 0:
        raise InputError(f"its pixels are {values.min()} to {largest}; expected none below 0")
    if bits == 32 and 0 < largest < 2**16:
        raise InputError(
            f"its 32-bit pixels reach only {largest} of {white}, nearly black: save it with 8 or "
            "16 bits"
        )
    return _from_black(np.asarray(values / white), tags)


def _from_black(shares: Array, tags: Any) -> Array:
    """Return values on the scale 0 (black) to 1 (white)."""
    return 1 - shares if _first(tags, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO else shares


def _first(tags: Any, tag: int, default: int) -> int:
    value = tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)
