"""Lightning Fabric, set up from a recipe and from `torchrun`: device, ranks and precision."""

import os
from typing import TYPE_CHECKING

from minnorm.errors import InputError, MissingLibraryError, one_line
from minnorm.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def launch_fabric(recipe: Recipe) -> "Fabric":
    """Return Fabric with all ranks connected.

    Raises:
        MissingLibraryError: If Lightning Fabric is not installed.
        InputError: If the ranks or the precision are not possible on this machine.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise MissingLibraryError(
            "training needs Lightning Fabric: pip install 'minnorm[training]'"
        ) from error
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    try:
        fabric = Fabric(
            accelerator="auto",
            devices=local,
            num_nodes=world // local,
            strategy="ddp" if world > 1 else "auto",
            precision=recipe.precision,
        )
        fabric.launch()
    except Exception as error:  # Fabric raises an error of its own for more ranks than GPUs
        raise InputError(f"{local} ranks cannot run on this machine: {one_line(error)}") from error
    if recipe.precision == "16-mixed" and fabric.device.type == "cpu":
        raise InputError("precision: 16-mixed needs a GPU; use bf16-mixed on the CPU.")
    return fabric
