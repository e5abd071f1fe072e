"""From words to models: resolves model specs."""

import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from minnorm import specs
from minnorm.models.architectures import (
    build,
    timm_library,
    torchvision_models,
)
from minnorm.models.normalized import Normalized
from minnorm.models.weights import UNSAFE, NotTrustedError, load_weights
from minnorm.models.zoo import load_zoo, zoo_cards

FORMS = (
    "zoo:NAME | torchvision:NAME | timm:NAME | FILE.pt2 | FILE.safetensors [+ ARCHITECTURE] | "
    "FILE.pt + ARCHITECTURE | package.module:factory"
)
"""The forms of a model spec."""


def load_model(spec: str, *, trust: bool = False) -> nn.Module:
    """Loads a classifier by its spec, in evaluation mode, on the CPU.

    Args:
        spec: One of `FORMS`:

            - `zoo:NAME`: a network shipped with the package (`minnorm model list`).
            - `torchvision:NAME`, `timm:NAME`: a pretrained network of these libraries, with its
              normalisation inside: it takes inputs in 0..1.
            - `FILE.pt2`: a program of `torch.export`; these have to be trusted.
            - `FILE.safetensors + ARCHITECTURE`: weights, and the network they are of (see
              `minnorm.models.build`); files written here name it themselves.
            - `FILE.pt + ARCHITECTURE`: the same from a PyTorch checkpoint of plain tensors.
            - `package.module:factory`: a function that gives a module; arguments are passed on.
        trust: Let a file run the code that it holds: a pickled checkpoint, an exported program, or
            a network named by a weight file.

    Returns:
        The model: inputs `[b *d]` to logits `[b c]`.

    Raises:
        ValueError: If the spec is not of such a form, or what it names cannot be used.
        FileNotFoundError: If a file is not there.
        ImportError: If it needs a library that is not installed.
    """
    model = _resolve(spec, trust=trust)
    try:
        return lay_out(model.eval())
    except NotImplementedError:  # exported programs keep the mode they were exported in
        return model


def lay_out(model: nn.Module) -> nn.Module:
    """Gives the model with the weights of its convolutions channels last, where they know that.

    Convolutions on the CPU run faster so, up to twice, and no slower anywhere.
    """
    with suppress(RuntimeError):  # videos have another such layout
        model.to(memory_format=torch.channels_last)
    return model


def _resolve(spec: str, *, trust: bool) -> nn.Module:
    with_architecture = _WEIGHTS_AND_ARCHITECTURE.fullmatch(spec.strip())
    if with_architecture:
        weights, architecture = with_architecture.groups()
        return load_weights(specs.path_of(weights), architecture, trust=trust)
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise ValueError(f"{spec!r}: a model has no slice. Model specs are: {FORMS}.")
    path = specs.path_of(parsed.head)
    if path.suffix == ".safetensors" or path.suffix in UNSAFE:
        return load_weights(path, trust=trust)
    if path.suffix == ".pt2":
        return _exported(path, trust=trust)
    scheme, colon, _ = parsed.head.partition(":")
    if not colon:
        hint = f" Did you mean 'zoo:{parsed.head}'?" if parsed.head in zoo_cards() else ""
        raise ValueError(f"cannot read {spec!r} as a model.{hint} Model specs are: {FORMS}.")
    return _SCHEMES[scheme](parsed) if scheme in _SCHEMES else build(spec)


def _zoo(parsed: specs.Spec) -> nn.Module:
    if parsed.arguments:
        raise ValueError(f"{parsed.head} takes no arguments: {', '.join(parsed.arguments)}.")
    return load_zoo(parsed.head.partition(":")[2])


def _not_served(parsed: specs.Spec) -> nn.Module:
    raise ValueError(f"{parsed.head}: such models are not served yet. Model specs are: {FORMS}.")


def _torchvision(parsed: specs.Spec) -> nn.Module:
    name = parsed.head.partition(":")[2]
    models = torchvision_models()
    specs.choose(name, models.list_models(), "torchvision model")
    chosen = parsed.arguments.get("weights", "DEFAULT")
    if chosen is None:
        return build(specs.describe(parsed.head, parsed.arguments))
    try:
        weights = models.get_model_weights(name)[chosen]
    except (KeyError, TypeError) as error:
        known = ", ".join(entry.name for entry in models.get_model_weights(name))
        raise ValueError(f"{name} has no weights {chosen!r}. There is: {known}.") from error
    transforms = weights.transforms()
    try:
        model = build(specs.describe(parsed.head, {**parsed.arguments, "weights": weights.name}))
    except OSError as error:
        raise ValueError(
            f"the weights of {parsed.head} could not be downloaded: {error}"
        ) from error
    if isinstance(model, Normalized):  # the spec gave a normalisation of its own
        return model
    return Normalized(model, transforms.mean, transforms.std)


def _timm(parsed: specs.Spec) -> nn.Module:
    arguments = {"pretrained": True, **parsed.arguments}
    try:
        model = build(specs.describe(parsed.head, arguments))
    except OSError as error:
        raise ValueError(
            f"the weights of {parsed.head} could not be downloaded: {error}"
        ) from error
    if isinstance(model, Normalized):
        return model
    config = timm_library().data.resolve_model_data_config(model)
    return Normalized(model, config["mean"], config["std"])


def _exported(path: Path, *, trust: bool) -> nn.Module:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    if not trust:
        raise NotTrustedError(
            f"{path} is refused: PyTorch unpickles parts of an exported program, which runs "
            "whatever code is in them. If you trust where it comes from, say so: --trust in the "
            "shell, trust=True in Python."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} cannot be read as a torch.export program: it is no archive.")
    try:
        module = torch.export.load(path).module()
    except Exception as error:  # a file of another kind raises errors of many kinds
        raise ValueError(f"{path} cannot be read as a torch.export program: {error}") from error
    for part in module.modules():  # it has no mode: that of its export is in the program
        part.training = False
    return module


_WEIGHTS_AND_ARCHITECTURE = re.compile(
    rf"(.+(?:{'|'.join(re.escape(ending) for ending in (*UNSAFE, '.safetensors'))}))\s*\+\s*(.+)"
)

_SCHEMES: dict[str, Callable[[specs.Spec], nn.Module]] = {
    "hf": _not_served,
    "robustbench": _not_served,
    "timm": _timm,
    "torchvision": _torchvision,
    "zoo": _zoo,
}
