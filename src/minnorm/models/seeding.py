"""Random numbers of a model that are the same each time, and leave no trace."""

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn


@contextmanager
def preserved_generators(model: object, device: torch.device) -> Iterator[Callable[[int], None]]:
    """Yield a function that seeds all that a model draws from; restore the states afterwards.

    These are the global generators of PyTorch (on the CPU and on the device), NumPy and Python, and
    the generators that are attributes of the parts of the model.

    Args:
        model: The model.
        device: The device of its inputs.

    Yields:
        A function that takes a seed below 2**32.
    """
    sources = _sources(model, device)

    def reseed(seed: int) -> None:
        for source in sources:
            _seed(source, seed)

    with ExitStack() as restoring:
        for source in sources:
            restoring.callback(_restorer(source))
        yield reseed


def generator_states(model: object, device: torch.device) -> list[bytes]:
    """Return the states of all generators that a model draws from, to compare them.

    Args:
        model: The model.
        device: The device of its inputs.
    """
    return [pickle.dumps(_state(source)) for source in _sources(model, device)]


def _sources(model: object, device: torch.device) -> list[Any]:
    """Return the generators, and the modules that have one."""
    return [*_generators_of_torch(device), np.random, random, *_own_generators(model)]


def _state(source: Any) -> Any:
    if isinstance(source, torch.Generator):
        return source.get_state().tolist()
    if isinstance(source, np.random.Generator):
        return source.bit_generator.state
    return source.get_state() if hasattr(source, "get_state") else source.getstate()


def _generators_of_torch(device: torch.device) -> list[torch.Generator]:
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


def _seed(source: Any, seed: int) -> None:
    """Seed a generator, or a module that has one."""
    if isinstance(source, torch.Generator):
        source.manual_seed(seed)
    elif isinstance(source, np.random.Generator):
        bits = source.bit_generator
        bits.state = type(bits)(seed).state
    else:
        source.seed(seed)


def _restorer(source: Any) -> Callable[[], object]:
    """Return a function that gives a generator, or a module that has one, its state of now."""
    if isinstance(source, np.random.Generator):
        bits = source.bit_generator
        before = bits.state
        return lambda: setattr(bits, "state", before)
    if hasattr(source, "get_state"):  # of PyTorch, and of NumPy's older form
        state = source.get_state()
        return lambda: source.set_state(state)
    state = source.getstate()
    return lambda: source.setstate(state)
