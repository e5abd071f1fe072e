"""The weights of a file for a network whose names for them may differ by a prefix."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from minnorm.errors import InputError

State: TypeAlias = Mapping[str, Tensor]
"""The tensors of a network by name, as `state_dict` returns them."""

_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of names that torch.compile, FSDP and activation checkpoints add, at any place."""

_COUNTS = ("n_averaged",)
"""Names of tensors that `AveragedModel` of PyTorch adds, which are not weights."""

_OLD = ".num_batches_tracked"
"""The end of names that PyTorch adds when it loads files from before version 0.4.1."""

_DEEPEST = 3
"""Dictionaries inside each other in which weights are looked for."""

_SHOWN = 4
"""Names in a message, of each kind."""


def states_in(content: Any) -> dict[str, State]:
    """Return all weights in the content of a checkpoint, by the place where they are.

    Args:
        content: A `state_dict`, a module, or a dictionary that contains such.

    Returns:
        The weights of each place; places look like `['model']`, that of the whole content is ''.
    """
    return dict(_states(content, "", _DEEPEST))


def fitting_states(states: Mapping[str, State], network: nn.Module) -> dict[str, State]:
    """Return those weights of a file that fit a network, with the names of the network."""
    expected = network.state_dict()
    return {
        place: renamed
        for place, state in states.items()
        if (renamed := _fitting_names(state, expected)) is not None
    }


def choose_state(states: Mapping[str, State], network: nn.Module, file: str, spec: str) -> State:
    """Return the weights that fit a network exactly, with the names that the network gives them.

    A prefix that all names share, in the file or in the network, is ignored.

    Args:
        states: The weights in a file, by their place in it.
        network: The network.
        file: The name of the file, for the message.
        spec: The spec of the network, for the message.

    Raises:
        InputError: If none fit, several that differ, or some that are not dense floating-point
            tensors.
    """
    expected = network.state_dict()
    fitting = fitting_states(states, network)
    chosen = next(iter(fitting.values()), None)
    if chosen is None:
        raise InputError(_difference(states, expected, file, spec))
    for state in fitting.values():
        _check_values(state, expected, file)
    if not all(_same(chosen, other) for other in fitting.values()):
        raise InputError(
            f"{file} has several weights that fit {spec!r}, and they differ: {', '.join(fitting)}. "
            "Save those to use as a file of their own: "
            f"torch.save(torch.load({file!r}){next(iter(fitting))}, 'weights.pt')."
        )
    return chosen


def _check_values(state: State, expected: Mapping[str, Any], file: str) -> None:
    """Check that weights of a network are numbers that its parameters can take as they are."""
    problems = {name: _problem(value, expected[name]) for name, value in state.items()}
    found = [f"{name} is {problem}" for name, problem in problems.items() if problem]
    if found:
        raise InputError(
            f"{file} holds weights that cannot be used as they are: {_listed(found)}. Expected "
            "dense floating-point tensors: convert them, and save them again."
        )


def _problem(value: Tensor, wanted: Any) -> str | None:
    if value.is_quantized:
        return "quantized"
    if value.is_meta:
        return "without values, on the device meta"
    if value.layout != torch.strided:
        return "sparse"
    converted = isinstance(wanted, Tensor) and wanted.is_floating_point()
    return str(value.dtype) if converted and not value.is_floating_point() else None


def _states(content: Any, place: str, depth: int) -> Iterator[tuple[str, State]]:
    if isinstance(content, nn.Module):
        yield place, content.state_dict()
    elif isinstance(content, Mapping) and content:
        tensors = [isinstance(value, Tensor) for value in content.values()]
        if all(tensors) and all(isinstance(name, str) for name in content):
            yield place, content
        elif depth:
            for name, value in content.items():
                yield from _states(value, f"{place}[{name!r}]", depth - 1)


def _fitting_names(state: State, expected: Mapping[str, Any]) -> State | None:
    """Return the weights under the names of the network; `None` if they do not fit."""
    return next((new for _, new in _renamed(state, expected) if _fits(new, expected)), None)


def _fits(state: State, expected: Mapping[str, Any]) -> bool:
    missing, unexpected, shapes = _differences(state, expected)
    return not unexpected and not shapes and all(name.endswith(_OLD) for name in missing)


def _differences(
    state: State, expected: Mapping[str, Any]
) -> tuple[list[str], list[str], list[str]]:
    """Return the names of one side only, first those in the network, and those of other shapes."""
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    shapes = [
        name
        for name, value in state.items()
        if isinstance(expected.get(name), Tensor) and value.shape != expected[name].shape
    ]
    return missing, unexpected, shapes


def _renamed(state: State, expected: Mapping[str, Any]) -> Iterator[tuple[str, State]]:
    """Yield the weights under all names that a prefix accounts for, first those that they have.

    Each comes with the prefix that was removed from, or that was added to, all names.
    """
    yield "", state
    bare = {_without_wrappers(name): value for name, value in state.items()}
    if len(bare) < len(state):  # two names became one
        return
    bare = {name: value for name, value in bare.items() if name not in _COUNTS}
    old, new = ("", *_prefixes(bare)), ("", *_prefixes(expected))
    for removed, added in itertools.product(old, new):
        yield (
            removed or added,
            {f"{added}{name.removeprefix(removed)}": value for name, value in bare.items()},
        )


def _without_wrappers(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _prefixes(names: Mapping[str, Any]) -> list[str]:
    """Return the prefixes that all names share, the shortest first, each with its dot."""
    parts = [name.split(".")[:-1] for name in names]
    shared = [column[0] for column in _while_equal(parts)]
    return [".".join(shared[:length]) + "." for length in range(1, len(shared) + 1)]


def _while_equal(parts: list[list[str]]) -> Iterator[tuple[str, ...]]:
    return itertools.takewhile(lambda column: len(set(column)) == 1, zip(*parts, strict=False))


def _same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(
        value.dtype == other[name].dtype and value.equal(other[name]) for name, value in one.items()
    )


def _difference(
    states: Mapping[str, State], expected: Mapping[str, Any], file: str, spec: str
) -> str:
    """Describe how the weights that are nearest to a network differ from it."""
    options = [
        (place, prefix, renamed, _differences(renamed, expected))
        for place, state in states.items()
        for prefix, renamed in (*_renamed(state, expected), *_partly_renamed(state))
    ]
    place, prefix, state, (missing, unexpected, shapes) = min(
        options, key=lambda option: sum(len(names) for names in option[3])
    )
    pairs = [
        f"{name} is {list(state[name].shape)}, expected {list(expected[name].shape)}"
        for name in shapes
    ]
    found = {
        "missing in the file": missing,
        "only in the file": unexpected,
        "other shapes": pairs,
    }
    where = f"{file} at {place}" if place else file
    without = f" (with the prefix {prefix!r} removed or added)" if prefix else ""
    what = "; ".join(f"{kind}: {_listed(names)}" for kind, names in found.items() if names)
    if not what:
        without, what = "", f"only some names have the prefix {prefix!r}"
    advice = _advice(state, expected, shapes, missing, unexpected)
    return f"the weights in {where} do not fit {spec!r}{without}: {what}. {advice}"


def _partly_renamed(state: State) -> Iterator[tuple[str, State]]:
    """Yield the weights without a prefix that only some names have."""
    for prefix in {f"{name.partition('.')[0]}." for name in state if "." in name}:
        yield prefix, {name.removeprefix(prefix): value for name, value in state.items()}


def _advice(
    state: State,
    expected: Mapping[str, Any],
    shapes: list[str],
    missing: list[str],
    unexpected: list[str],
) -> str:
    """Return what to do about weights that do not fit."""
    if not missing and not shapes:
        return (
            "Save the weights of the network alone, without these: "
            "torch.save(network.state_dict(), 'weights.pt')."
        )
    pairs = {(tuple(state[name].shape), tuple(expected[name].shape)) for name in shapes}
    sizes = {(old[:1], new[:1]) for old, new in pairs}
    only_outputs = all(old[1:] == new[1:] for old, new in pairs)
    if not missing and not unexpected and only_outputs and len(shapes) <= 2 and len(sizes) == 1:
        ((old_size, new_size),) = sizes
        return (
            f"Set the number of classes in the architecture to {old_size[0]}; it is {new_size[0]}."
        )
    return "Write the architecture that these weights belong to, with its arguments."


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
