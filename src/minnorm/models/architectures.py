"""Networks without weights, by their spec."""

from collections.abc import Callable
from typing import Any

from torch import nn

from minnorm import specs
from minnorm.errors import in_short
from minnorm.models.normalized import Normalized
from minnorm.models.small_cnn import cifar10_cnn, mnist_cnn
from minnorm.models.wide_resnet import wide_resnet

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "cifar10_cnn": cifar10_cnn,
    "mnist_cnn": mnist_cnn,
    "wide_resnet": wide_resnet,
}
"""The project's own networks; each is a function of keyword arguments."""


def build(spec: str) -> nn.Module:
    """Builds a network with fresh weights.

    Args:
        spec: A name of `ARCHITECTURES`, `torchvision:NAME`, `timm:NAME` or
            `package.module:factory`, with arguments, for example `wide_resnet(depth=16, width=4)`.
            The arguments `mean` and `std` (one number for each channel) put a `Normalized` around
            any of them.

    Raises:
        ValueError: If there is no such network or it does not take such arguments.
        ImportError: If it needs a library that is not installed.
    """
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise ValueError(f"{spec!r}: an architecture has no slice.")
    arguments = dict(parsed.arguments)
    mean, std = arguments.pop("mean", None), arguments.pop("std", None)
    network = _network(specs.Spec(parsed.head, arguments), spec)
    if (mean is None) != (std is None):
        raise ValueError(f"{spec!r}: mean and std are given together or not at all.")
    return network if mean is None else Normalized(network, mean, std)


def network_of(model: nn.Module) -> nn.Module:
    """Gives the network inside a `Normalized`, else the model itself: what weight files hold."""
    return model.model if isinstance(model, Normalized) else model


def _network(spec: specs.Spec, text: str) -> nn.Module:
    scheme, colon, name = spec.head.partition(":")
    made: Any
    try:
        if scheme == "torchvision" and colon:
            made = torchvision_models().get_model(name, **{"weights": None, **spec.arguments})
        elif scheme == "timm" and colon:
            made = timm_library().create_model(name, **{"pretrained": False, **spec.arguments})
        elif colon:
            made = specs.call_factory(spec, "network")
        else:
            name = specs.choose(spec.head, ARCHITECTURES, "architecture")
            specs.check_arguments(ARCHITECTURES[name], spec.arguments, name)
            made = ARCHITECTURES[name](**spec.arguments)
    except (ValueError, ImportError):
        raise
    except Exception as error:  # whatever a network raises of what it is given
        raise ValueError(f"{text!r} cannot be built: {in_short(error)}") from error
    if not isinstance(made, nn.Module):
        raise ValueError(f"{text!r} gave a {type(made).__name__}; expected a torch.nn.Module.")
    return made


def torchvision_models() -> Any:
    """Imports `torchvision.models`, or says how to install it."""
    try:
        from torchvision import models
    except ImportError as error:
        raise ImportError("torchvision is needed: pip install 'minnorm[vision]'") from error
    return models


def timm_library() -> Any:
    """Imports `timm`, or says how to install it."""
    try:
        import timm
    except ImportError as error:
        raise ImportError("timm is needed: pip install 'minnorm[vision]'") from error
    return timm
