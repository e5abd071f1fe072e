"""Model specs: from a spec to a classifier."""

import difflib
import importlib.util
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minnorm import specs
from minnorm.errors import InputError
from minnorm.logits import ACTIVE_DROPOUT, parts_in_training_mode
from minnorm.models.addresses import is_address
from minnorm.models.architectures import ARCHITECTURES, build
from minnorm.models.libraries import LIBRARIES, fresh, pretrained
from minnorm.models.normalized import Normalized, numbers_of
from minnorm.models.onnx_models import load_onnx
from minnorm.models.over_http import load_over_http
from minnorm.models.places import did_you_mean, existing_file
from minnorm.models.programs import load_exported, load_torchscript
from minnorm.models.recognition import MODEL_FILES, OTHER_FILES, recognize
from minnorm.models.scikit_learn import load_estimator
from minnorm.models.weights import load_weights, written_architecture
from minnorm.models.zoo import load_zoo, zoo_cards, zoo_names

MODEL_FORMS = (
    "zoo:NAME | torchvision:NAME | timm:NAME | FILE.safetensors [+ ARCHITECTURE] | "
    "FILE.pt + ARCHITECTURE | FILE.pt2 | FILE.pt | FILE.onnx | FILE.joblib | "
    "http://HOST/PATH | package.module:factory"
)
"""The forms of a model spec."""

logger = logging.getLogger(__name__)

_WEIGHTS_AND_ARCHITECTURE = re.compile(
    rf"(.+(?:{'|'.join(re.escape(ending) for ending in MODEL_FILES)}))\s*\+\s*(.+)", re.IGNORECASE
)

_NOT_YET = ("hf", "robustbench")


def load_model(spec: str, *, trust: bool = False) -> nn.Module:
    """Load the classifier that a spec names, in evaluation mode, on the CPU.

    Args:
        spec: One of `MODEL_FORMS`:

            - `zoo:NAME`: a network shipped with the package (`minnorm model list`).
            - `torchvision:NAME`, `timm:NAME`: a pretrained network of these libraries. It
              normalizes its inputs itself: they are in 0..1.
            - `FILE.safetensors + ARCHITECTURE`: a file of weights and the network they belong to
              (see `minnorm.models.build`). Files written by this package name their network.
            - `FILE.pt + ARCHITECTURE`: a PyTorch checkpoint of plain tensors and its network.
            - `FILE.pt2`: a program of `torch.export`; it requires `trust`.
            - `FILE.pt`: TorchScript, or a whole network that was pickled; both require `trust`.
            - `FILE.joblib` or another pickle of an estimator of scikit-learn; it requires `trust`.
            - `FILE.onnx`: a graph in ONNX, run by ONNX Runtime, and differentiated as a copy in
              PyTorch if it can be converted; `FILE.onnx(access=scores)` never is.
            - `http://HOST/PATH(classes=10)` or `https://`: a model behind HTTP, which tells
              predicted classes only; see `minnorm.models.over_http` for its arguments.
            - `package.module:factory`: a function that returns a module, or an estimator of
              scikit-learn; it is called with the arguments.

            A network of torchvision or timm normalizes its inputs alike in all these forms, see
            `minnorm.models.build`.
        trust: Whether a file may run the code that it contains: a pickled checkpoint, a program, or
            a network that a weight file names.

    Returns:
        The model: inputs `[b *d]` to logits `[b c]`.

    Raises:
        InputError: If the spec has none of these forms, or what it names cannot be used.
        MissingFileError: If a file does not exist.
        MissingLibraryError: If a library is needed that is not installed.
    """
    model = _resolve(spec, trust=trust)
    if isinstance(model, Normalized):
        mean, std = numbers_of(model)
        logger.info("%s: inputs are normalized with mean=%s, std=%s", spec, mean, std)
    if not getattr(model, "training", True) and (parts := parts_in_training_mode(model)):
        name, part = next(iter(parts.items()))
        logger.warning(
            "%s: its part %r, a %s, was in training mode, and is in evaluation mode now. %s",
            spec,
            name,
            type(part).__name__,
            ACTIVE_DROPOUT,
        )
    try:
        return use_channels_last(model.eval())
    except NotImplementedError:  # an exported program keeps the mode of its export
        return model


def architecture_of(spec: str, model: nn.Module) -> str | None:
    """Return the spec of the architecture of a model: what `build` makes it from, without weights.

    Args:
        spec: The spec of the model.
        model: What `load_model` returns for it.

    Returns:
        The spec; `None` for a program or a pickled network, which name none.
    """
    if is_address(spec):
        return None
    parts = _weights_and_architecture(spec)
    if parts is not None:
        return parts[1]
    parsed = specs.parse(spec)
    path = specs.path_of(parsed.head)
    if path.is_file():
        is_weights = recognize(path) == "safetensors"
        return written_architecture(path) if is_weights else None
    scheme, colon, name = parsed.head.partition(":")
    if scheme == "zoo":
        return zoo_cards()[name].architecture
    if scheme in LIBRARIES and isinstance(model, Normalized):
        mean, std = numbers_of(model)
        arguments = {**fresh(scheme, parsed.arguments), "mean": mean, "std": std}
        return specs.format_spec(parsed.head, arguments)
    return spec if colon else None


def runs_no_code(spec: str) -> bool:
    """Return whether a spec that a file names is loaded without running code that it chooses.

    These are shipped networks, pretrained ones of a library, and files, which are not trusted.
    """
    file, plus, architecture = spec.partition("+")
    try:
        if plus:
            return specs.parse(architecture.strip()).head in ARCHITECTURES and _is_file(file)
        parsed = specs.parse(spec)
    except InputError:
        return False
    scheme, _, name = parsed.head.partition(":")
    known = scheme in ("zoo", *LIBRARIES) and not parsed.arguments and ":" not in name
    return known or _is_file(parsed.head)


def _is_file(head: str) -> bool:
    return Path(head.strip()).suffix.lower() in MODEL_FILES


def use_channels_last(model: nn.Module) -> nn.Module:
    """Change the weights of 2D convolutions to channels-last, and return the model.

    Convolutions on the CPU are up to twice as fast with it, and never slower.
    """
    with suppress(RuntimeError):  # 3D convolutions have a different channels-last format
        model.to(memory_format=torch.channels_last)
    return model


def _resolve(spec: str, *, trust: bool) -> nn.Module:
    if is_address(spec):
        return load_over_http(spec)
    parts = _weights_and_architecture(spec)
    if parts is not None:
        return load_weights(*parts, trust=trust)
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise InputError(
            f"{spec!r}: a model has no slice, remove it. Forms of a model spec: {MODEL_FORMS}."
        )
    path = specs.path_of(parsed.head)
    is_named_like_one = path.suffix.lower() in (*MODEL_FILES, *OTHER_FILES)
    if is_named_like_one or (path.exists() and parsed.head not in zoo_names()):
        return _from_file(path, parsed.arguments, trust=trust)
    if ":" in parsed.head:
        return _by_scheme(parsed, spec)
    zoo = difflib.get_close_matches(parsed.head, zoo_names(), n=1, cutoff=0.8)
    hint = f" Did you mean 'zoo:{zoo[0]}'?" if zoo else did_you_mean(path)
    raise InputError(
        f"cannot read {spec!r} as a model.{hint} Forms of a model spec: {MODEL_FORMS}."
    )


def _weights_and_architecture(spec: str) -> tuple[Path, str] | None:
    """Return the file and the architecture in a spec; `None` if it has another form."""
    with_ending = _WEIGHTS_AND_ARCHITECTURE.fullmatch(spec.strip())
    if with_ending:
        return specs.path_of(with_ending[1]), with_ending[2]
    file, plus, architecture = spec.partition(" + ")
    if plus and (path := specs.path_of(file)).is_file():  # with another ending, or none
        return path, architecture
    return None


def _from_file(path: Path, arguments: Mapping[str, Any], *, trust: bool) -> nn.Module:
    kind = recognize(existing_file(path))
    if arguments and kind != "onnx":
        raise InputError(f"{path} takes no arguments: remove {', '.join(arguments)}.")
    match kind:
        case "exported program":
            return load_exported(path, trust=trust)
        case "torchscript":
            return load_torchscript(path, trust=trust)
        case "onnx":
            return load_onnx(path, arguments)
        case "estimator":
            return load_estimator(path, trust=trust)
        case _:
            return load_weights(path, trust=trust)


def _by_scheme(parsed: specs.Spec, text: str) -> nn.Module:
    scheme, _, name = parsed.head.partition(":")
    if scheme == "zoo":
        if parsed.arguments:
            raise InputError(
                f"{parsed.head} takes no arguments: remove {', '.join(parsed.arguments)}."
            )
        return load_zoo(name)
    if scheme in LIBRARIES:
        return build(specs.format_spec(parsed.head, pretrained(scheme, parsed.arguments)))
    if scheme in _NOT_YET:
        raise InputError(
            f"{parsed.head}: such models are not supported yet. Forms of a model spec: "
            f"{MODEL_FORMS}."
        )
    close = difflib.get_close_matches(scheme, ("zoo", *LIBRARIES), n=1, cutoff=0.7)
    if close and "." not in scheme and importlib.util.find_spec(scheme) is None:
        raise InputError(f"unknown scheme in {text!r}. Did you mean '{close[0]}:{name}'?")
    return build(text)
