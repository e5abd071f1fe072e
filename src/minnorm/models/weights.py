"""Weight files: safetensors with the spec of the architecture in the header, and checkpoints."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from minnorm.errors import InputError, MissingFileError, NotTrustedError
from minnorm.factories import search_current_folder
from minnorm.files import write_tensors
from minnorm.models.architectures import ARCHITECTURES, build, network_of
from minnorm.specs import parse

UNSAFE = (".pt", ".pth", ".ckpt", ".pkl", ".bin")
"""The endings of checkpoint files, which are pickles."""


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

    Args:
        path: A safetensors file, or a PyTorch checkpoint of plain tensors.
        architecture: The spec of the network, see `build`. By default the one in the header of the
            file. Without `trust` that must be one of `ARCHITECTURES`: a file must not choose which
            code runs.
        trust: Whether a file may choose which code runs: a checkpoint that is a pickle, or a
            header that names another architecture.

    Raises:
        MissingFileError: If the file does not exist.
        NotTrustedError: If the file would run code and is not trusted.
        InputError: If the file is damaged, does not fit the network, or no architecture is known.
    """
    if not path.is_file():
        raise MissingFileError(f"there is no file {path}.")
    state: Mapping[str, Tensor]
    if path.suffix == ".safetensors":
        state, written = _read_safetensors(path)
    else:
        state, written = _read_checkpoint(path, trust=trust), None
    spec = architecture or written
    if spec is None:
        raise InputError(
            f"{path} does not name its network: write the architecture after it, for example "
            f"'{path} + wide_resnet(depth=28, width=10)'."
        )
    if architecture is None and not trust and parse(spec).head not in ARCHITECTURES:
        raise NotTrustedError(
            f"{path} names the network {spec!r}, which is not part of this package. If you trust "
            f"it, write it after the file: '{path} + {spec}'."
        )
    model = build(spec)
    try:
        network_of(model).load_state_dict(dict(state))
    except RuntimeError as error:
        reasons = " ".join(str(error).split())[:600]
        raise InputError(f"the weights in {path} do not fit {spec!r}: {reasons}") from error
    return model


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _read_checkpoint(path: Path, *, trust: bool) -> Mapping[str, Tensor]:
    if trust:  # a pickle may name classes of a module in the current folder
        search_current_folder()
    try:
        content = torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:  # torch.load raises errors of many kinds
        if trust:
            raise InputError(f"{path} cannot be read as a checkpoint: {error}") from error
        raise NotTrustedError(
            f"{path} is refused: it is not a checkpoint of plain tensors, and a pickle can run any "
            "code. Convert it to safetensors. Or, if you trust its source, allow it: --trust in "
            "the shell, trust=True in Python."
        ) from error
    if isinstance(content, nn.Module):
        content = content.state_dict()
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise InputError(f"{path} holds no weights: expected a state_dict.")
    return content
