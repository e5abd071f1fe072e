"""Weights on disk: safetensors with the architecture's spec in the header, written whole or not."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from minnorm.files import write_tensors
from minnorm.models.architectures import ARCHITECTURES, build, network_of
from minnorm.specs import parse, search_current_folder

UNSAFE = (".pt", ".pth", ".ckpt", ".pkl", ".bin")
"""Endings of checkpoints that are pickles."""


class NotTrustedError(ValueError):
    """A file would run code that it holds."""


def save_weights(model: nn.Module, architecture: str, path: Path) -> None:
    """Writes a model's weights and its architecture's spec as one safetensors file, atomically.

    Args:
        model: The model; of a `Normalized` the network inside is written.
        architecture: The spec that `build` makes the model from.
        path: Where to; the folder must be there.

    Raises:
        ValueError: If its state is more than tensors.
        OSError: If it cannot be written.
    """
    state = network_of(model).state_dict()
    check_state(state)
    # Weights that are tied are written twice: safetensors takes no two of the same memory.
    state = {
        name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()
    }
    try:
        write_tensors(path, state, {"architecture": architecture})
    except (OSError, SafetensorError) as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def check_state(state: Mapping[str, object]) -> None:
    """Checks that weights can be written.

    Raises:
        ValueError: If there is more than tensors among them.
    """
    other = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if other:
        raise ValueError(
            f"the network's state holds more than tensors, which are all that a weight file takes: "
            f"{', '.join(other[:5])}."
        )


def load_weights(path: Path, architecture: str | None = None, *, trust: bool = False) -> nn.Module:
    """Builds a network and gives it the weights of a file.

    Args:
        path: A safetensors file, or a PyTorch checkpoint of plain tensors.
        architecture: The network's spec, see `build`; by default what the file's header says, if
            it is one of the project's own networks: a file that comes from elsewhere must not
            choose which code is run.
        trust: Let a checkpoint that is a pickle run its code.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, is a pickle and not trusted, names no architecture
            when none is given, or does not fit the network.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    state: Mapping[str, Tensor]
    if path.suffix == ".safetensors":
        state, written = _read_safetensors(path)
    else:
        state, written = _read_checkpoint(path, trust=trust), None
    spec = architecture or written
    if spec is None:
        raise ValueError(
            f"{path} does not say of which network it is the weights: write the architecture "
            f"behind it, for example '{path} + wide_resnet(depth=28, width=10)'."
        )
    if architecture is None and not trust and parse(spec).head not in ARCHITECTURES:
        raise ValueError(
            f"{path} asks for the network {spec!r}, which is not one of this package. If you trust "
            f"it, write it behind the file: '{path} + {spec}'."
        )
    model = build(spec)
    try:
        network_of(model).load_state_dict(dict(state))
    except RuntimeError as error:
        reasons = " ".join(str(error).split())[:600]
        raise ValueError(f"the weights in {path} do not fit {spec!r}: {reasons}") from error
    return model


def file_sha256(path: Path) -> str:
    """Gives the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(model: object) -> str:
    """Gives a SHA-256 of a model: its printed structure and its state, bit by bit.

    Of a callable that is not a module the qualified name stands for it.
    """
    digest = hashlib.sha256()
    if not isinstance(model, nn.Module):
        named = getattr(model, "__qualname__", type(model).__qualname__)
        digest.update(f"{getattr(model, '__module__', '')}.{named}".encode())
        return digest.hexdigest()
    digest.update(repr(model).encode())
    # Buffers that are not saved, such as a normalisation's, decide as much as the weights do.
    tensors = {**dict(model.named_buffers()), **model.state_dict()}
    for name, value in sorted(tensors.items()):
        if not isinstance(value, Tensor):  # a module may keep what it likes as its extra state
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
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error


def _read_checkpoint(path: Path, *, trust: bool) -> Mapping[str, Tensor]:
    if trust:  # a pickle may name classes of a module beside it
        search_current_folder()
    try:
        content = torch.load(path, map_location="cpu", weights_only=not trust)
    except Exception as error:  # foreign files make torch.load raise errors of many kinds
        if trust:
            raise ValueError(f"{path} cannot be read as a checkpoint: {error}") from error
        raise NotTrustedError(
            f"{path} is refused: it is not a checkpoint of plain tensors, and loading a pickle "
            "runs whatever code is in it. Convert it to safetensors; or, if you trust where it "
            "comes from, say so: --trust in the shell, trust=True in Python."
        ) from error
    if isinstance(content, nn.Module):
        content = content.state_dict()
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise ValueError(f"{path} holds no table of weights: expected a state_dict.")
    return content
