"""Checkpoints, which are pickles: read safely, or refused with the names of what they would run."""

import itertools
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch

from minnorm.errors import InputError, NotTrustedError, one_line
from minnorm.factories import search_current_folder

_MOST_STEPS = 500_000
"""Steps of a pickle that are read: enough for the names, which stand before large arrays."""

_MOST_PICKLES = 5
"""A checkpoint of the format before PyTorch 1.6 is a row of pickles; the last one has the names."""

_SHOWN = 3
"""Names in a message."""

_TENSORS = ("torch._utils._rebuild_", "torch._tensor._rebuild_", "torch.serialization._get_layout")
_USUAL = ("torch", "builtins", "__builtin__", "collections", "_codecs")
_PLAIN = ("collections.OrderedDict", "torch.Size", "torch.device", "torch.dtype")


def read_checkpoint(path: Path, *, trust: bool) -> Any:
    """Return the content of a file of `torch.save`, on the CPU.

    Args:
        path: The file.
        trust: Whether it may run code. Otherwise only plain tensors are read.

    Raises:
        NotTrustedError: If it holds more than tensors, and is not trusted.
        InputError: If it cannot be read.
    """
    if trust:  # a pickle may name classes of a module in the current folder
        search_current_folder()
    try:
        with path.open("rb") as file:  # of a path, torch.load judges the ending too
            return torch.load(file, map_location="cpu", weights_only=not trust)
    except Exception as error:  # torch.load raises errors of many kinds
        foreign = foreign_names(path)
        if trust or not (foreign or zipfile.is_zipfile(path)):
            raise InputError(_why_unreadable(path, error)) from error
        shown = ", ".join(foreign[:_SHOWN]) + (", ..." if len(foreign) > _SHOWN else "")
        what = f"it holds more than tensors ({shown})" if foreign else "PyTorch cannot check it"
        raise NotTrustedError(
            f"{path} is refused: {what}, for example a whole network instead of its weights, and "
            "loading that can run any code. If you trust its source, allow it: --trust in the "
            "shell, trust=True in Python. Or save the weights alone: "
            "torch.save(model.state_dict(), 'weights.pt')."
        ) from error


def _why_unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, AttributeError) and "__main__" in str(error):
        return (
            f"{path} cannot be read ({one_line(error)}): it was saved by a script or notebook that "
            "defines the class of the network, and the file holds only the name of that class. "
            "Save the weights alone there: torch.save(model.state_dict(), 'weights.pt')."
        )
    if isinstance(error, AttributeError | ImportError):
        return (
            f"{path} cannot be read ({one_line(error)}): it holds only the names of its classes. "
            "Install the library that defines them, or run in the folder of the module."
        )
    # The message of PyTorch's safe reader is long, and advises to read the file unsafely.
    reason = "" if "weights_only" in str(error) else f" ({one_line(error)})"
    return (
        f"{path} cannot be read as a checkpoint{reason}: it is damaged, or PyTorch did not write "
        "it. Write or download it again."
    )


def foreign_names(path: Path) -> list[str]:
    """Return the classes and functions that a pickle or checkpoint names, without those of tensors.

    Those of PyTorch and Python come last. Nothing of the file is run. If it is damaged, the list
    may be incomplete.
    """
    names = {name for name in _names(path) if not _makes_tensors(name)}
    return sorted(names, key=lambda name: (name.partition(".")[0] in _USUAL, name))


def _makes_tensors(name: str) -> bool:
    storage = name.startswith("torch.") and name.endswith("Storage")
    dtype = name.startswith("torch.") and name.count(".") == 1 and name.rpartition(".")[2].islower()
    return storage or dtype or name in _PLAIN or name.startswith(_TENSORS)


def _names(path: Path) -> set[str]:
    names: set[str] = set()
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():
                    if entry.endswith("data.pkl"):
                        with archive.open(entry) as file:
                            names.update(_names_in(file))
            return names
        with path.open("rb") as file:
            for _ in range(_MOST_PICKLES):
                names.update(_names_in(file))
    except Exception:  # pickletools raises errors of many kinds at the end of what it can read
        return names
    return names


def _names_in(file: IO[bytes]) -> Iterator[str]:
    """Yield the names in one pickle, in order; they may repeat."""
    texts: list[str] = []
    memory: dict[int, str | None] = {}
    top: str | None = None  # the text that the last step put on the stack
    value: Any
    for code, value, _ in itertools.islice(pickletools.genops(file), _MOST_STEPS):
        if code.name == "GLOBAL":
            yield str(value).replace(" ", ".", 1)
        elif code.name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif code.name == "MEMOIZE":
            memory[len(memory)] = top
            continue
        elif code.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memory[int(value)] = top
            continue
        top = value if isinstance(value, str) and "UNICODE" in code.name else None
        if code.name in ("GET", "BINGET", "LONG_BINGET"):
            top = memory.get(int(value))
        if top is not None:
            texts.append(top)
