"""The errors that users see, and the summary of errors raised by somebody else's code.

All are `ValueError`s. The command line shows one of these as a single message; any other exception
is a bug, and keeps its traceback.
"""

import traceback
from pathlib import Path

_PACKAGE = Path(__file__).parent


class InputError(ValueError):
    """Some input cannot be used; the message says what was expected, and what to do."""


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
