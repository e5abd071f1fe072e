"""Lightning Fabric, set up from a recipe and from `torchrun`: device, ranks and precision."""

import importlib.util
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from minnorm.errors import InputError, MissingLibraryError, one_line
from minnorm.runtime import devices, ranks
from minnorm.runtime.torchrun import ADVICE, local_rank, read_launch
from minnorm.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_DEVICES = ("cpu", "cuda", "mps")
"""The types of devices that can train."""


def planned_ranks() -> int:
    """Return the number of ranks that will train, before they are connected.

    Raises:
        InputError: If variables of `torchrun` are set, but it did not start this process: Fabric
            would wait for other ranks.
    """
    if dist.is_initialized():
        return ranks.world_size()
    launch = read_launch()
    if launch is not None and not dist.is_torchelastic_launched():
        raise InputError(f"{launch} in the environment, but not by torchrun. {ADVICE}")
    return 1 if launch is None else launch.world_size


def check_device(device: str | torch.device | None, precision: str) -> torch.device | None:
    """Check that training can use a device, on each of the ranks.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, ..., or `mps`; `None` for a GPU if there is one.
        precision: The precision of the recipe.

    Returns:
        The device; `None` as given.

    Raises:
        InputError: If this machine does not have it, if several ranks cannot share it, or if it
            does not support the precision.
    """
    if device is None:
        has_gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
        _check_precision(precision, "cuda" if has_gpu else "cpu")
        return None
    several = planned_ranks() > 1
    own = f"cuda:{local_rank()}" if several and str(device) == "cuda" else str(device)
    found = devices.parse_device(own)
    if found.type not in _DEVICES:
        raise InputError(f"device {device}: training runs on {', '.join(_DEVICES)} only.")
    if several and str(device) != "cuda" and found.type != "cpu":
        raise InputError(
            f"device {device} is one device, but torchrun started {planned_ranks()} ranks: write "
            "cuda, which gives each rank a GPU of its own, or start one process."
        )
    _check_precision(precision, found.type)
    return torch.device(str(device))


def _check_precision(precision: str, kind: str) -> None:
    if precision == "16-mixed" and kind == "cpu":
        raise InputError("precision: 16-mixed needs a GPU; use bf16-mixed on the CPU.")


def check_installed() -> None:
    """Check that the library that training needs is installed, without the time of an import.

    Raises:
        MissingLibraryError: If Lightning Fabric is not installed.
    """
    if importlib.util.find_spec("lightning_fabric") is None:
        raise MissingLibraryError(
            "training needs Lightning Fabric: pip install 'minnorm[training]'"
        )


def launch_fabric(recipe: Recipe, device: torch.device | None = None) -> "Fabric":
    """Return Fabric with all ranks connected, until this process exits.

    Args:
        recipe: The recipe, for the precision.
        device: What `check_device` returned.

    Raises:
        MissingLibraryError: If Lightning Fabric is not installed.
        InputError: If the ranks or the precision are not possible on this machine.
    """
    check_installed()
    from lightning_fabric import Fabric

    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    joined = dist.is_initialized()
    chosen: Any = local
    if device is not None and device.type == "cuda" and device.index is not None:
        chosen = [device.index]
    try:
        with _without_remarks():
            fabric = Fabric(
                accelerator="auto" if device is None else device.type,
                devices=chosen,
                num_nodes=world // local,
                strategy="ddp" if world > 1 else "auto",
                precision=recipe.precision,
            )
            fabric.launch()
    except Exception as error:  # Fabric raises an error of its own for more ranks than GPUs
        raise InputError(f"{local} ranks cannot run on this machine: {one_line(error)}") from error
    if not joined and dist.is_initialized():
        ranks.leave_at_exit()
    return fabric


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Silence what Fabric says of ranks and precision: the recipe and the log say it."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
