"""Devices: choosing one by name, and the precision of its convolutions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from minnorm.errors import InputError


def default_device() -> torch.device:
    """Return the GPU of this rank if there is one, otherwise the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
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
        raise InputError(
            f"cannot use the device {name!r} ({reason}). Available: {', '.join(_available())}."
        ) from error
    return device


def _available() -> list[str]:
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished all work that was submitted to it."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 convolutions on a GPU in float32, as a CPU does.

    PyTorch's default for them is TF32, which has a mantissa of 10 bits: near a decision boundary it
    changes predictions. For matrix products full precision is the default, which users may change.
    """
    cudnn: Any = torch.backends.cudnn
    # PyTorch has an old and a new setting, and refuses to read them when the two disagree.
    kinds = [cudnn.conv, cudnn.rnn] if hasattr(cudnn, "conv") else []  # since PyTorch 2.9
    chosen = [kind.fp32_precision for kind in kinds]
    allowed = "tf32" in chosen if kinds else cudnn.allow_tf32
    cudnn.allow_tf32 = False
    for kind in kinds:
        kind.fp32_precision = "ieee"
    try:
        yield
    finally:
        cudnn.allow_tf32 = allowed
        for kind, precision in zip(kinds, chosen, strict=True):
            kind.fp32_precision = precision
