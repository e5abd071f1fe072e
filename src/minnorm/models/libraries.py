"""Networks of torchvision and timm, and the normalization of their inputs."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from minnorm import specs
from minnorm.errors import InputError, MissingLibraryError

LIBRARIES = ("torchvision", "timm")
"""The libraries whose networks a spec can name, as `torchvision:NAME`."""

Normalization = tuple[list[float], list[float]]
"""The mean and the std of each channel; a list of one number is for all channels."""

_TRANSFORM_INPUT = ("googlenet", "inception_v3")
"""Networks of torchvision that adjust normalized inputs if, and only if, they are pretrained.

Here they always do, since the weights of a file are read into the same network as those of
torchvision.
"""


def library_network(
    library: str, name: str, arguments: Mapping[str, Any]
) -> tuple[nn.Module, Normalization]:
    """Build a network of a library, and return it with the normalization of its inputs.

    The normalization is that of the pretrained weights of this name, with or without them.

    Args:
        library: One of `LIBRARIES`.
        name: The name of the network in the library.
        arguments: The arguments of the library's function. By default the weights are fresh.

    Raises:
        InputError: If the library has no such network or weights, or says no normalization.
        MissingLibraryError: If the library is not installed.
        Exception: Whatever the library raises for the arguments.
    """
    if library == "torchvision":
        return _of_torchvision(name, arguments)
    return _of_timm(name, arguments)


def pretrained(library: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a library's function, by default for pretrained weights."""
    choice = {"weights": "DEFAULT"} if library == "torchvision" else {"pretrained": True}
    return {**choice, **arguments}


def fresh(library: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments without those that choose pretrained weights."""
    choice = "weights" if library == "torchvision" else "pretrained"
    return {name: value for name, value in arguments.items() if name != choice}


def _imported(library: str) -> Any:
    """Import a library, or raise `MissingLibraryError`."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise MissingLibraryError(f"{library} is needed: pip install 'minnorm[vision]'") from error


def _of_torchvision(name: str, arguments: Mapping[str, Any]) -> tuple[nn.Module, Normalization]:
    models = _imported("torchvision").models
    if name not in models.list_models():  # which also has networks for other tasks
        specs.choose(name, models.list_models(module=models), "torchvision model")
    known = models.get_model_weights(name)
    chosen = arguments.get("weights")
    try:
        weights = known["DEFAULT" if chosen is None else chosen]
    except (KeyError, TypeError) as error:
        names = ", ".join(entry.name for entry in known)
        raise InputError(f"unknown weights {chosen!r} of {name}. Available: {names}.") from error
    transforms = weights.transforms()
    if not hasattr(transforms, "mean"):
        raise InputError(
            f"torchvision:{name} does not classify images: expected a network such as "
            "torchvision:resnet50."
        )
    options: dict[str, Any] = {**arguments, "weights": None if chosen is None else weights}
    if name in _TRANSFORM_INPUT:
        options.setdefault("transform_input", True)
    network: nn.Module = models.get_model(name, **options)
    return network, (list(transforms.mean), list(transforms.std))


def _of_timm(name: str, arguments: Mapping[str, Any]) -> tuple[nn.Module, Normalization]:
    timm = _imported("timm")
    is_local = ":" not in name  # timm also loads names such as hf-hub:timm/resnet18.a1_in1k
    if is_local and not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise InputError(f"unknown timm model {name!r}.{hint} timm.list_models() lists all.")
    network: nn.Module = timm.create_model(name, **{"pretrained": False, **arguments})
    config = timm.data.resolve_model_data_config(network)
    mean, std = list(config["mean"]), list(config["std"])
    if arguments.get("in_chans", len(mean)) != len(mean):  # the numbers are for RGB
        mean, std = ([sum(part) / len(part)] for part in (mean, std))
    return network, (mean, std)
