"""The errors that users see, and the summary of errors raised by somebody else's code.

All are `ValueError`s. The command line shows one of these as a single message; any other exception
is a bug, and keeps its traceback.
"""

import re
import traceback
from collections.abc import Sequence
from pathlib import Path

DYNAMIC_BATCH = (
    "Export it again with a dynamic batch size: torch.export.export(model, (inputs,), "
    "dynamic_shapes=({0: torch.export.Dim('batch')},)), or its PyTorch model with 'minnorm model "
    "export'."
)
"""What to do about an exported program that takes batches of one size only."""

_PACKAGE = Path(__file__).parent

_CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")
"""What a convolution of PyTorch says about images with another number of channels."""

_CHANNEL_ADVICE = {
    ("1", "3"): " The model takes gray images: make one channel of the three, for example "
    "images.mean(1, keepdim=True), or store such images in an .npz file.",
    ("3", "1"): " The model takes color images: put a layer before it that repeats the channel, "
    "x.expand(-1, 3, -1, -1).",
}
"""What to do, by the channels that the model takes and those of the images."""

_BATCH_GUARD = re.compile(r"(Guard failed|Expected input).*(size\(\)|shape)\[0\]", re.DOTALL)


class InputError(ValueError):
    """Some input cannot be used; the message says what was expected, and what to do.

    Args:
        args: The lines of the message, usually one. The command line escapes line breaks inside
            them, which can only come from the name of a file or the text of somebody else.
    """

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class RunConflictError(InputError):
    """A folder holds another run, or another process is working in it."""


class OutOfMemoryError(InputError):
    """The device does not have enough memory, even for the smallest part of the work."""


class NotTrustedError(InputError):
    """A file or a name would run code, and the user has not allowed it."""


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder does not exist."""


class MissingLibraryError(InputError, ImportError):
    """An optional library is not installed; the message names the extra that installs it."""


def one_line(error: BaseException) -> str:
    """Return an error in one line: its type, and the first 400 characters of its message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


def batch_size_advice(error: BaseException) -> str:
    """Return what to do if an error of a model says that it takes batches of one size only.

    Args:
        error: An error that a model raised.

    Returns:
        A sentence that begins with a space; empty if the error says something else.
    """
    return f" {DYNAMIC_BATCH}" if _BATCH_GUARD.search(str(error)) else ""


def channel_advice(error: BaseException) -> str:
    """Return what to do if a model says that it takes images with other channels.

    Args:
        error: An error that a model raised.

    Returns:
        A sentence that begins with a space; empty if the error says something else.
    """
    found = _CHANNELS.search(str(error))
    return _CHANNEL_ADVICE.get((found[1], found[2]), "") if found else ""


def layout_advice(shape: Sequence[int]) -> str:
    """Return what to do if a model fails on images whose channels are not the second dimension.

    Args:
        shape: The shape of the batch that the model does not take.

    Returns:
        A sentence that begins with a space; empty if the shape is that of usual images.
    """
    channels = (1, 3, 4)
    if len(shape) == 4 and shape[3] in channels and shape[1] not in channels:
        return (
            f" Are these images of {shape[1]} x {shape[2]} pixels with the channels last? "
            "Models of PyTorch take them first: images.transpose(0, 3, 1, 2) in NumPy, "
            "images.permute(0, 3, 1, 2) in PyTorch."
        )
    if len(shape) == 3:
        return " Do these images lack the dimension of their channel? Add it: images[:, None]."
    return ""


def is_bug(error: BaseException) -> bool:
    """Return whether an error is a bug of this package, not of a user's code that it called.

    A bug is an error that a line of this package raised. PyTorch raises `RuntimeError` for tensors
    that do not fit together, and these come from users' models: it is never counted as a bug.

    Args:
        error: An error that was raised.
    """
    if isinstance(error, (InputError, RuntimeError, MemoryError, OSError)):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and _PACKAGE in Path(frames[-1].filename).parents
