"""Random numbers of a model that are the same each time, and leave no trace."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


@contextmanager
def seeded(seed: int, model: object, device: torch.device) -> Iterator[None]:
    """Seed all that a model draws random numbers from, and restore it afterwards.

    These are the global generators of PyTorch (on the CPU and on the device), NumPy and Python, and
    the generators that are attributes of the parts of the model.

    Args:
        seed: The seed, below 2**32.
        model: The model.
        device: The device of its inputs.
    """
    with ExitStack() as restoring:
        for generator in (*_global_generators(device), *_own_generators(model)):
            restoring.callback(_reseeded(generator, seed))
        for module in (np.random, random):
            restoring.callback(_reseeded_module(module, seed))
        yield


def _global_generators(device: torch.device) -> list[torch.Generator]:
    generators = [torch.default_generator]
    if device.type == "cuda":
        number = torch.cuda.current_device() if device.index is None else device.index
        generators.append(torch.cuda.default_generators[number])
    elif device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    return generators


def _own_generators(model: object) -> list[Any]:
    """Return the generators that are attributes of a model or of its parts."""
    kinds = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
    parts = model.modules() if isinstance(model, nn.Module) else (model,)
    attributes = [value for part in parts for value in getattr(part, "__dict__", {}).values()]
    return [*{id(value): value for value in attributes if isinstance(value, kinds)}.values()]


def _reseeded(generator: Any, seed: int) -> Callable[[], object]:
    """Seed a generator, and return the function that restores its state."""
    if isinstance(generator, torch.Generator):
        state = generator.get_state()
        generator.manual_seed(seed)
        return lambda: generator.set_state(state)
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        before = bits.state
        bits.state = type(bits)(seed).state
        return lambda: setattr(bits, "state", before)
    return _reseeded_module(generator, seed)


def _reseeded_module(source: Any, seed: int) -> Callable[[], object]:
    """Seed a source of NumPy's older form or of Python, and return how to restore it."""
    numpy = hasattr(source, "get_state")
    state = source.get_state() if numpy else source.getstate()
    source.seed(seed)
    return lambda: source.set_state(state) if numpy else source.setstate(state)
