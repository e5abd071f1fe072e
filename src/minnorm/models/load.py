"""Model specs: from a spec to a classifier."""

import re
import zipfile
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from minnorm import specs
from minnorm.errors import InputError, MissingFileError, NotTrustedError
from minnorm.models.architectures import build, timm_library, torchvision_models
from minnorm.models.normalized import Normalized
from minnorm.models.weights import UNSAFE, load_weights
from minnorm.models.zoo import load_zoo, zoo_cards

MODEL_FORMS = (
    "zoo:NAME | torchvision:NAME | timm:NAME | FILE.pt2 | FILE.safetensors [+ ARCHITECTURE] | "
    "FILE.pt + ARCHITECTURE | package.module:factory"
)
"""The forms of a model spec."""

_WEIGHTS_AND_ARCHITECTURE = re.compile(
    rf"(.+(?:{'|'.join(re.escape(ending) for ending in (*UNSAFE, '.safetensors'))}))\s*\+\s*(.+)"
)


def load_model(spec: str, *, trust: bool = False) -> nn.Module:
    """Load the classifier that a spec names, in evaluation mode, on the CPU.

    Args:
        spec: One of `MODEL_FORMS`:

            - `zoo:NAME`: a network shipped with the package (`minnorm model list`).
            - `torchvision:NAME`, `timm:NAME`: a pretrained network of these libraries. It
              normalizes its inputs itself: they are in 0..1.
            - `FILE.pt2`: a program of `torch.export`; it requires `trust`.
            - `FILE.safetensors + ARCHITECTURE`: a file of weights and the network they belong to
              (see `minnorm.models.build`). Files written by this package name their network.
            - `FILE.pt + ARCHITECTURE`: a PyTorch checkpoint of plain tensors and its network.
            - `package.module:factory`: a function that returns a module, called with the arguments.
        trust: Whether a file may run the code that it contains: a pickled checkpoint, an exported
            program, or a network that a weight file names.

    Returns:
        The model: inputs `[b *d]` to logits `[b c]`.

    Raises:
        InputError: If the spec has none of these forms, or what it names cannot be used.
        MissingFileError: If a file does not exist.
        MissingLibraryError: If a library is needed that is not installed.
    """
    model = _resolve(spec, trust=trust)
    try:
        return use_channels_last(model.eval())
    except NotImplementedError:  # an exported program keeps the mode of its export
        return model


def use_channels_last(model: nn.Module) -> nn.Module:
    """Change the weights of 2D convolutions to channels-last, and return the model.

    Convolutions on the CPU are up to twice as fast with it, and never slower.
    """
    with suppress(RuntimeError):  # 3D convolutions have a different channels-last format
        model.to(memory_format=torch.channels_last)
    return model


def _resolve(spec: str, *, trust: bool) -> nn.Module:
    with_architecture = _WEIGHTS_AND_ARCHITECTURE.fullmatch(spec.strip())
    if with_architecture:
        weights, architecture = with_architecture.groups()
        return load_weights(specs.path_of(weights), architecture, trust=trust)
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise InputError(
            f"{spec!r}: a model has no slice, remove it. Forms of a model spec: {MODEL_FORMS}."
        )
    path = specs.path_of(parsed.head)
    if path.suffix == ".safetensors" or path.suffix in UNSAFE:
        return load_weights(path, trust=trust)
    if path.suffix == ".pt2":
        return _exported(path, trust=trust)
    if ":" in parsed.head:
        return _by_scheme(parsed, spec)
    hint = f" Did you mean 'zoo:{parsed.head}'?" if parsed.head in zoo_cards() else ""
    raise InputError(
        f"cannot read {spec!r} as a model.{hint} Forms of a model spec: {MODEL_FORMS}."
    )


def _by_scheme(parsed: specs.Spec, text: str) -> nn.Module:
    scheme, _, name = parsed.head.partition(":")
    match scheme:
        case "zoo":
            return _zoo(parsed, name)
        case "torchvision":
            return _torchvision(parsed, name)
        case "timm":
            return _timm(parsed)
        case "hf" | "robustbench":
            raise InputError(
                f"{parsed.head}: such models are not supported yet. Forms of a model spec: "
                f"{MODEL_FORMS}."
            )
        case _:
            return build(text)


def _zoo(parsed: specs.Spec, name: str) -> nn.Module:
    if parsed.arguments:
        raise InputError(f"{parsed.head} takes no arguments: remove {', '.join(parsed.arguments)}.")
    return load_zoo(name)


def _torchvision(parsed: specs.Spec, name: str) -> nn.Module:
    models = torchvision_models()
    specs.choose(name, models.list_models(), "torchvision model")
    chosen = parsed.arguments.get("weights", "DEFAULT")
    if chosen is None:
        return build(specs.format_spec(parsed.head, parsed.arguments))
    try:
        weights = models.get_model_weights(name)[chosen]
    except (KeyError, TypeError) as error:
        known = ", ".join(entry.name for entry in models.get_model_weights(name))
        raise InputError(f"unknown weights {chosen!r} of {name}. Available: {known}.") from error
    transforms = weights.transforms()
    model = build(specs.format_spec(parsed.head, {**parsed.arguments, "weights": weights.name}))
    if isinstance(model, Normalized):  # the spec sets mean and std itself
        return model
    return Normalized(model, transforms.mean, transforms.std)


def _timm(parsed: specs.Spec) -> nn.Module:
    model = build(specs.format_spec(parsed.head, {"pretrained": True, **parsed.arguments}))
    if isinstance(model, Normalized):  # the spec sets mean and std itself
        return model
    config = timm_library().data.resolve_model_data_config(model)
    return Normalized(model, config["mean"], config["std"])


def _exported(path: Path, *, trust: bool) -> nn.Module:
    if not path.is_file():
        raise MissingFileError(f"there is no file {path}.")
    if not trust:
        raise NotTrustedError(
            f"{path} is refused: PyTorch unpickles parts of an exported program, and a pickle can "
            "run any code. If you trust its source, allow it: --trust in the shell, trust=True in "
            "Python."
        )
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} cannot be read as a torch.export program: it is not an archive.")
    try:
        module = torch.export.load(path).module()
    except Exception as error:  # a file of another kind raises errors of many kinds
        raise InputError(f"{path} cannot be read as a torch.export program: {error}") from error
    for part in module.modules():  # the mode is part of the program, so this flag has no effect
        part.training = False
    return module
