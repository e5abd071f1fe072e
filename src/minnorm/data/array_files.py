"""Files of arrays: bounds of features, and masks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minnorm.data.arrays import Array
from minnorm.errors import InputError, MissingFileError, one_line


def read_mask_file(path: Path) -> Array:
    """Return the array of a FILE.npy.

    Raises:
        InputError: If it cannot be read, or is not boolean.
        MissingFileError: If there is no such file.
    """
    mask = _opened(path, lambda found: found)
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        kind = f"is of dtype {mask.dtype}" if isinstance(mask, np.ndarray) else "has several arrays"
        raise InputError(
            f"the mask {path} {kind}; expected one boolean array, true for the features that may "
            "change. Write it with numpy.save('FILE.npy', mask)."
        )
    return mask


def read_bounds_file(path: Path) -> tuple[Array, Array]:
    """Return the arrays `low` and `high` of a FILE.npz.

    Raises:
        InputError: If it cannot be read, or does not hold them.
        MissingFileError: If there is no such file.
    """

    def arrays(found: Any) -> dict[str, Array]:
        if isinstance(found, np.ndarray):
            return {}  # a single array has no name
        return {name: found[name] for name in found.files}

    held = _opened(path, arrays)
    if not {"low", "high"} <= set(held):
        raise InputError(
            f"{path} holds {', '.join(sorted(held)) or 'no named arrays'}; expected arrays named "
            "'low' and 'high', the bounds of the inputs."
        )
    return held["low"], held["high"]


def _opened(path: Path, read: Callable[[Any], Any]) -> Any:
    if not path.is_file():
        raise MissingFileError(f"there is no file {path}.")
    try:
        return read(np.load(path, allow_pickle=False))
    except Exception as error:  # the reader raises errors of many kinds
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error
