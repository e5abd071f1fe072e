"""What the tests of training have in common."""

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import numpy as np

from minnorm.data import load_data


def digits_file(folder: Path, samples: int) -> Path:
    """Writes a file of images of digits, and gives its path."""
    inputs, labels = load_data(f"mnist-sample[:{samples}]").batch(range(samples))
    path = folder / "digits.npz"
    np.savez(path, images=(inputs.numpy() * 255).round().astype(np.uint8), labels=labels.numpy())
    return path


def on_full_disk(
    write: Callable[..., None], fails: Container[int], error: type[Exception] = OSError
) -> Callable[..., None]:
    """Gives what writes in place of `write`, and fails at these calls, counted from 1."""
    written = 0

    def save(*given: Any, **named: Any) -> None:
        nonlocal written
        written += 1
        if written in fails:
            raise error("No space left on device")
        write(*given, **named)

    return save
