"""A counter of the operations that make the host wait for the device."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Synchronizations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that make the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waits = (
            *("_local_scalar_dense", "nonzero", "masked_select", "equal.default", "item"),
            *("unique", "allclose", "repeat_interleave.Tensor"),
        )
        indices = args[1] if "aten.index" in str(func) and len(args) > 1 else ()
        masked = isinstance(indices, list | tuple) and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in indices
        )
        self.count += masked or any(name in str(func) for name in waits)
        return func(*args, **(kwargs or {}))
