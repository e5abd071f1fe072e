"""Weight files: safetensors with the spec of the architecture in the header, and checkpoints."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from minnorm.errors import InputError, NotTrustedError
from minnorm.files import write_tensors
from minnorm.models.architectures import ARCHITECTURES, build, network_of
from minnorm.models.libraries import LIBRARIES
from minnorm.models.matching import State, choose_state, fitting_states, states_in
from minnorm.models.normalized import Normalized, numbers_of
from minnorm.models.pickled import read_checkpoint
from minnorm.models.places import existing_file
from minnorm.models.programs import torchscript_code
from minnorm.models.recognition import recognize
from minnorm.specs import parse

logger = logging.getLogger(__name__)


def save_weights(model: nn.Module, architecture: str, path: Path) -> None:
    """Write a model's weights and the spec of its architecture to a safetensors file, atomically.

    Args:
        model: The model; of a `Normalized` only the network inside is written.
        architecture: The spec from which `build` makes the model.
        path: The file; its folder must exist.

    Raises:
        InputError: If the model's state holds other values than tensors.
        OSError: If the file cannot be written.
    """
    state = network_of(model).state_dict()
    check_state(state)
    # Tied weights are written twice: safetensors refuses tensors that share memory.
    state = {
        name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()
    }
    try:
        write_tensors(path, state, {"architecture": architecture})
    except (OSError, SafetensorError) as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def check_state(state: Mapping[str, object]) -> None:
    """Check that a network's state can be written to a weight file.

    Raises:
        InputError: If it holds other values than tensors.
    """
    other = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if other:
        raise InputError(
            "the state of the network holds values that are not tensors, and a weight file can "
            f"hold tensors only: {', '.join(other[:5])}."
        )


def load_weights(path: Path, architecture: str | None = None, *, trust: bool = False) -> nn.Module:
    """Build a network and load its weights from a file.

    The names in the file may have a prefix, such as `module.`, if all have it and the rest fits the
    network exactly. A dictionary of a checkpoint is searched for the weights.

    Args:
        path: A safetensors file, or a PyTorch checkpoint of plain tensors.
        architecture: The spec of the network, see `build`. By default the one in the header of the
            file, or the network itself if the file is the pickle of one. Without `trust` the header
            must name one of `ARCHITECTURES`: a file must not choose which code runs.
        trust: Whether a file may choose which code runs: a checkpoint that is a pickle, or a
            header that names another architecture.

    Raises:
        MissingFileError: If the file does not exist.
        NotTrustedError: If the file would run code and is not trusted.
        InputError: If the file is damaged, does not fit the network, or no architecture is known.
    """
    kind = recognize(existing_file(path))
    if kind not in ("safetensors", "checkpoint"):
        raise InputError(
            f"{path} holds a whole model, not only weights: name it alone, without an architecture."
        )
    content: Any
    if kind == "safetensors":
        content, written = _read_safetensors(path)
    else:
        content, written = read_checkpoint(path, trust=trust), None
    if architecture is None and (pickled := _only_module(content)) is not None:
        return pickled
    states = states_in(content)
    if not states:
        raise InputError(f"{path} holds no weights: expected a state_dict, found {_kind(content)}.")
    spec = architecture or written
    if spec is None:
        raise InputError(
            f"{path} does not name its network: write the architecture after it, for example "
            f"'{path} + package.module:Network', or "
            f"'{path} + wide_resnet(depth=28, width=10)'."
        )
    if architecture is None and not trust and parse(spec).head not in ARCHITECTURES:
        raise NotTrustedError(
            f"{path} names the network {spec!r}, which is not part of this package. If you trust "
            f"it, write it after the file: '{path} + {spec}'."
        )
    model = build(spec)
    _load_state(network_of(model), states, path, spec)
    if architecture is not None:
        _report_normalization(model, path, spec)
    return model


def written_architecture(path: Path) -> str | None:
    """Return the architecture in the header of a safetensors file, if it names one.

    Raises:
        InputError: If the file is damaged.
    """
    return _read_safetensors(path)[1]


def fingerprint(model: object) -> str:
    """Return the SHA-256 of a model's printed structure and its state, bit by bit.

    For a callable that is not a module, return the SHA-256 of its qualified name.
    """
    digest = hashlib.sha256()
    if not isinstance(model, nn.Module):
        named = getattr(model, "__qualname__", type(model).__qualname__)
        digest.update(f"{getattr(model, '__module__', '')}.{named}".encode())
        return digest.hexdigest()
    digest.update(repr(model).encode())
    # Buffers that are not saved, such as those of Normalized, change the logits as well.
    tensors = {**dict(model.named_buffers()), **model.state_dict()}
    for name, part in model.named_modules():
        if isinstance(part, torch.jit.ScriptModule) and hasattr(part, "forward"):
            code, constants = torchscript_code(part)
            digest.update(code.encode())  # a frozen module has all its weights in constants
            tensors |= {f"{name}.{constant}": value for constant, value in constants.items()}
    for name, value in sorted(tensors.items()):
        if not isinstance(value, Tensor):  # the extra state of a module can be any object
            digest.update(f"{name} {value!r}".encode())
            continue
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], str | None]:
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
            return state, (file.metadata() or {}).get("architecture")
    except SafetensorError as error:
        raise InputError(f"{path} is not a complete safetensors file: {error}") from error


def _only_module(content: Any) -> nn.Module | None:
    """Return the module in the content of a checkpoint, if there is exactly one."""
    values = content.values() if isinstance(content, Mapping) else [content]
    modules = [value for value in values if isinstance(value, nn.Module)]
    if len(modules) != 1:
        return None
    module: nn.Module = modules[0]
    return module.module if isinstance(module, nn.DataParallel) else module


def _kind(content: Any) -> str:
    if isinstance(content, Mapping):
        if not content:
            return "an empty dictionary"
        return f"a dictionary of {', '.join(str(name) for name in list(content)[:6])}"
    return f"an object of type {type(content).__name__}"


def _load_state(network: nn.Module, states: Mapping[str, State], path: Path, spec: str) -> None:
    if len(states) == 1 and not fitting_states(states, network):
        # A network may read names of an earlier version of its code.
        (state,) = states.values()
        if _loads(network, state):
            return
    network.load_state_dict(dict(choose_state(states, network, str(path), spec)))


def _loads(network: nn.Module, state: State) -> bool:
    """Load the weights of a network, and return whether they fit."""
    try:
        network.load_state_dict(dict(state))
    except RuntimeError:
        return False
    return True


def _report_normalization(model: nn.Module, path: Path, spec: str) -> None:
    """Say how inputs are normalized if neither the user nor the file does, but a library."""
    parsed = parse(spec)
    library = parsed.head.partition(":")[0]
    chosen = library not in LIBRARIES or "mean" in parsed.arguments
    if not isinstance(model, Normalized) or chosen:
        return
    mean, std = numbers_of(model)
    logger.warning(
        "the inputs of %s are normalized with mean=%s, std=%s, as %s says. If the weights in %s "
        "need others, write them after the file: %s(mean=..., std=...); mean=0, std=1 for none.",
        parsed.head,
        mean,
        std,
        library,
        path,
        parsed.head,
    )
