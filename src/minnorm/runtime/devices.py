"""Devices: choosing one by name, those of models, and the precision of convolutions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from minnorm.errors import InputError
from minnorm.runtime.process_settings import ProcessSetting
from minnorm.runtime.torchrun import local_rank


def default_device() -> torch.device:
    """Return the GPU of this rank if there is one, otherwise the CPU.

    Ranks share GPUs if there are fewer GPUs than ranks.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", local_rank() % max(torch.cuda.device_count(), 1))
    return torch.device("cpu")


def parse_device(name: str) -> torch.device:
    """Return the device of that name, after placing a tensor on it.

    Args:
        name: A name that PyTorch knows, for example `cpu` or `cuda:1`.

    Raises:
        InputError: If this machine has no such device.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).partition(". ")[0].splitlines()[0][:120]
        # For a word that is no device PyTorch lists all that some machine has.
        found = "" if reason.startswith("Expected one of") else f" ({reason})"
        raise InputError(
            f"cannot use the device {name!r}{found}.{_hint(name)} Available: "
            f"{', '.join(_available())}."
        ) from error
    return device


def _available() -> list[str]:
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def _hint(name: str) -> str:
    """Suggest the name of a device for a word that is none."""
    gpus = [device for device in _available() if device != "cpu"]
    if name.lower() in ("gpu", "nvidia", "cuda", "mps") and not gpus:
        return " PyTorch finds no GPU on this machine."
    if name.lower() in ("gpu", "nvidia"):
        return f" Did you mean {gpus[0]!r}?"
    close = get_close_matches(name.lower(), _available(), n=1)
    return f" Did you mean {close[0]!r}?" if close and close[0] != name else ""


def dtype_and_device(model: object) -> tuple[torch.dtype, torch.device]:
    """Return the dtype and device of a module's first floating-point tensor.

    A callable without one takes float32 on the CPU.
    """
    if isinstance(model, nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype, tensor.device
    return torch.float32, torch.device("cpu")


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all work that was submitted to it."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 convolutions on a GPU in float32, as a CPU does.

    PyTorch's default for them is TF32, which has a mantissa of 10 bits: near a decision boundary it
    changes predictions. For matrix products full precision is the default, which users may change.
    The setting holds for all threads until the last of those that are inside has left.
    """
    with _precision.changed():
        yield


def _set_full_float32() -> Callable[[], None]:
    """Set full precision, and return the function that restores the precision of before."""
    cudnn: Any = torch.backends.cudnn
    # PyTorch has an old and a new setting, and refuses to read them when the two disagree.
    kinds = [cudnn.conv, cudnn.rnn] if hasattr(cudnn, "conv") else []  # since PyTorch 2.9
    chosen = [(kind, kind.fp32_precision) for kind in kinds]
    allowed = any(value == "tf32" for _, value in chosen) if kinds else cudnn.allow_tf32
    cudnn.allow_tf32 = False
    for kind in kinds:
        kind.fp32_precision = "ieee"

    def restore() -> None:
        cudnn.allow_tf32 = allowed
        for kind, value in chosen:
            kind.fp32_precision = value

    return restore


_precision = ProcessSetting(_set_full_float32)
