"""Networks with fresh weights, built from a spec."""

from collections.abc import Callable
from typing import Any

from torch import nn

from minnorm import factories, specs
from minnorm.errors import InputError, MissingLibraryError, one_line
from minnorm.models.normalized import Normalized
from minnorm.models.small_cnn import cifar10_cnn, mnist_cnn
from minnorm.models.wide_resnet import wide_resnet

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "cifar10_cnn": cifar10_cnn,
    "mnist_cnn": mnist_cnn,
    "wide_resnet": wide_resnet,
}
"""The networks of this package; each is a function of keyword arguments."""


def build(spec: str) -> nn.Module:
    """Build a network with fresh weights.

    Args:
        spec: A name in `ARCHITECTURES`, `torchvision:NAME`, `timm:NAME` or
            `package.module:factory`, with arguments, for example `wide_resnet(depth=16, width=4)`.
            With the arguments `mean` and `std` (one number per channel) the network is wrapped in
            `Normalized`.

    Raises:
        InputError: If the network is unknown, does not take the arguments, or cannot be built.
        MissingLibraryError: If a library is needed that is not installed.
    """
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise InputError(f"{spec!r}: an architecture has no slice, remove it.")
    arguments = dict(parsed.arguments)
    mean, std = arguments.pop("mean", None), arguments.pop("std", None)
    network = _network(specs.Spec(parsed.head, arguments), spec)
    if (mean is None) != (std is None):
        raise InputError(f"{spec!r}: write both mean and std, or neither.")
    return network if mean is None else Normalized(network, mean, std)


def network_of(model: nn.Module) -> nn.Module:
    """Return the part of a model that weight files hold: without its `Normalized`."""
    return model.model if isinstance(model, Normalized) else model


def torchvision_models() -> Any:
    """Import `torchvision.models`.

    Raises:
        MissingLibraryError: If torchvision is not installed.
    """
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingLibraryError("torchvision is needed: pip install 'minnorm[vision]'") from error
    return models


def timm_library() -> Any:
    """Import `timm`.

    Raises:
        MissingLibraryError: If timm is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise MissingLibraryError("timm is needed: pip install 'minnorm[vision]'") from error
    return timm


def _network(spec: specs.Spec, text: str) -> nn.Module:
    scheme, colon, name = spec.head.partition(":")
    made: Any
    try:
        if scheme == "torchvision" and colon:
            made = torchvision_models().get_model(name, **{"weights": None, **spec.arguments})
        elif scheme == "timm" and colon:
            made = timm_library().create_model(name, **{"pretrained": False, **spec.arguments})
        elif colon:
            made = factories.call_factory(spec, "network")
        else:
            name = specs.choose(spec.head, ARCHITECTURES, "architecture")
            factories.check_arguments(ARCHITECTURES[name], spec.arguments, name)
            made = ARCHITECTURES[name](**spec.arguments)
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"the weights of {spec.head} could not be downloaded: {one_line(error)}"
        ) from error
    except Exception as error:  # networks raise errors of any kind for bad arguments
        raise InputError(f"{text!r} cannot be built: {one_line(error)}") from error
    if not isinstance(made, nn.Module):
        raise InputError(f"{text!r} returned a {type(made).__name__}; expected a torch.nn.Module.")
    return made
