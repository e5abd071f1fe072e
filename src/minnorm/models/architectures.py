"""Networks with fresh weights, built from a spec."""

from collections.abc import Callable
from typing import Any

from torch import nn

from minnorm import factories, specs
from minnorm.errors import InputError, one_line
from minnorm.models.libraries import LIBRARIES, Normalization, library_network
from minnorm.models.normalized import Normalized
from minnorm.models.scikit_learn import as_model
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
            With the arguments `mean` and `std` (one number per channel, or one for all) the network
            is wrapped in `Normalized`. Without them, a network of torchvision or timm is wrapped
            with the numbers of its pretrained weights: `mean=0, std=1` leaves the inputs as they
            are.

    Raises:
        InputError: If the network is unknown, does not take the arguments, or cannot be built.
        MissingLibraryError: If a library is needed that is not installed.
    """
    parsed = specs.parse(spec)
    if parsed.part is not None:
        raise InputError(f"{spec!r}: an architecture has no slice, remove it.")
    arguments = dict(parsed.arguments)
    mean, std = arguments.pop("mean", None), arguments.pop("std", None)
    network, normalization = _network(specs.Spec(parsed.head, arguments), spec)
    if (mean is None) != (std is None):
        raise InputError(f"{spec!r}: write both mean and std, or neither.")
    if mean is not None:
        normalization = (mean, std)
    return network if normalization is None else Normalized(network, *normalization)


def network_of(model: nn.Module) -> nn.Module:
    """Return the part of a model that weight files hold: without its `Normalized`."""
    return model.model if isinstance(model, Normalized) else model


def _network(spec: specs.Spec, text: str) -> tuple[nn.Module, Normalization | None]:
    """Build a network, and return it with the normalization that its library states."""
    scheme, colon, name = spec.head.partition(":")
    made: Any
    normalization = None
    try:
        if scheme in LIBRARIES and colon:
            made, normalization = library_network(scheme, name, spec.arguments)
        elif scheme.endswith(".py") and colon:
            module = scheme.removesuffix(".py").strip("./").replace("/", ".")
            raise InputError(f"{text!r} names a file. Did you mean '{module}:{name}'?")
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
    made = as_model(made)
    if not isinstance(made, nn.Module):
        raise InputError(
            f"{text!r} returned a {type(made).__name__}; expected a torch.nn.Module, or "
            "an estimator of scikit-learn. A function that only predicts becomes a module with "
            "minnorm.models.predict_only."
        )
    return made, normalization
