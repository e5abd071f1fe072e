"""Model files that hold a program: those of `torch.export`, and TorchScript."""

import logging
import re
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minnorm.errors import DYNAMIC_BATCH, InputError, NotTrustedError, one_line


def load_exported(path: Path, *, trust: bool) -> nn.Module:
    """Load a program of `torch.export`.

    Raises:
        NotTrustedError: If the file is not trusted: it contains pickles.
        InputError: If it cannot be read.
    """
    if not trust:
        raise NotTrustedError(
            f"{path} is refused: PyTorch unpickles parts of an exported program, and a pickle can "
            "run any code. If you trust its source, allow it: --trust in the shell, trust=True in "
            "Python."
        )
    log = logging.getLogger("torch.export")
    reasons: list[str] = []
    hide = partial(_remember, reasons)
    log.addFilter(hide)
    try:
        with path.open("rb") as file:
            program = torch.export.load(file)
        module = program.module()
    except Exception as error:  # a damaged file raises errors of many kinds
        reason = (reasons or [one_line(error)])[0]
        raise InputError(
            f"{path} cannot be read as a program of torch.export ({reason}): it is damaged, or "
            "another version of PyTorch wrote it. Export it again."
        ) from error
    finally:
        log.removeFilter(hide)
    for part in module.modules():  # the mode is part of the program, so this flag has no effect
        part.training = False
    shape = _input_shape(program)
    if shape is not None:
        if None not in shape[1:]:
            module.input_shape = shape[1:]  # type: ignore[assignment]
        module.register_forward_pre_hook(partial(_check_shape, path.name, shape), prepend=True)
    return module


def load_torchscript(path: Path, *, trust: bool) -> nn.Module:
    """Load a TorchScript program, on the CPU.

    Raises:
        NotTrustedError: If the file is not trusted: the program can read and write files.
        InputError: If it cannot be read.
    """
    if not trust:
        raise NotTrustedError(
            f"{path} is refused: it is a TorchScript program, which is code and can read and write "
            "files. If you trust its source, allow it: --trust in the shell, trust=True in Python."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated
            module: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location="cpu"
            )
    except Exception as error:  # a damaged file raises errors of many kinds
        raise InputError(
            f"{path} cannot be read as TorchScript ({one_line(error)}): it is damaged, or needs "
            "operators of a library that is not imported."
        ) from error
    return module


def torchscript_code(module: torch.jit.ScriptModule) -> tuple[str, dict[str, Tensor]]:
    """Return the code of a TorchScript module, without that of its parts, and its constants."""
    code, constants = module.code_with_constants
    # Each time that a file is loaded in a process, its types get another number.
    return re.sub(r"___torch_mangle_\d+\.", "", code), dict(constants.const_mapping)


def _remember(reasons: list[str], record: logging.LogRecord) -> bool:
    """Keep the error in a record of PyTorch's log, which its exception lacks; do not show it."""
    if record.exc_info and record.exc_info[1] is not None:
        reasons.append(one_line(record.exc_info[1]))
    return False


def _input_shape(program: torch.export.ExportedProgram) -> tuple[int | None, ...] | None:
    """Return the shape of the inputs of a program, `None` where any size is possible.

    It is `None` as a whole if the program does not take one tensor.
    """
    names = program.graph_signature.user_inputs
    values = [node.meta.get("val") for node in program.graph.nodes if node.name in names]
    if len(values) != 1 or not isinstance(values[0], Tensor):
        return None
    return tuple(size if isinstance(size, int) else None for size in values[0].shape)


def _check_shape(
    name: str, shape: tuple[int | None, ...], _module: nn.Module, arguments: tuple[Any, ...]
) -> None:
    """Check the shape of the inputs of a program, before its own check, which names no remedy."""
    if not arguments or not isinstance(arguments[0], Tensor):
        return
    found = list(arguments[0].shape)
    if len(found) != len(shape) or any(
        size is not None and size != other for size, other in zip(shape[1:], found[1:], strict=True)
    ):
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name} takes inputs of shape [{expected}]; got {found}.")
    if shape[0] is not None and shape[0] != found[0]:
        raise InputError(
            f"{name} takes batches of exactly {shape[0]} inputs, as it was exported; got "
            f"{found[0]}. {DYNAMIC_BATCH}"
        )
