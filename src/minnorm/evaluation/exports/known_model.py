"""The model of a finished run: loaded again, and compared with what the run has recorded."""

from typing import NamedTuple

import torch

from minnorm.attacks import Model
from minnorm.errors import InputError
from minnorm.evaluation.preparation.arguments import load_classifier
from minnorm.evaluation.store.configuration import Configuration
from minnorm.models import fingerprint
from minnorm.models.addresses import is_address
from minnorm.models.load import runs_no_code
from minnorm.models.names import is_spec, model_name

_ADVICE = "name the model to verify them, --model SPEC in the shell, model=... in Python"


class KnownModel(NamedTuple):
    """The model of a run, if there is one.

    Attributes:
        model: The model; `None` if it could not be loaded.
        reason: Why not.
    """

    model: Model | None
    reason: str = ""


def load_known_model(
    configuration: Configuration,
    model: str | Model | None = None,
    *,
    trust: bool = False,
    device: str | torch.device | None = None,
) -> KnownModel:
    """Load the model of a run.

    Args:
        configuration: The configuration of the run.
        model: The model, or its spec. By default the spec that the run names, if it runs no code.
        trust: Whether a file may run the code that it holds, and the run may name code.
        device: The device of a model given by its spec; by default a GPU if there is one.

    Raises:
        InputError: If the model given is not the one of the run, or cannot be loaded.
    """
    if model is None and not is_spec(configuration.model):
        return KnownModel(
            None,
            f"the model of the run, {configuration.model}, was given as a Python object, which "
            "cannot be loaded again: give it once more to verify them, model=... in Python, or "
            "name its spec, --model SPEC in the shell",
        )
    if model is None and is_address(configuration.model):
        named = f"the model of the run is behind HTTP, at {configuration.model}"
        return KnownModel(None, f"{named}: {_ADVICE}")
    if model is None and not (trust or runs_no_code(configuration.model)):
        named = f"the model of the run, {configuration.model!r}, may run code"
        return KnownModel(None, f"{named}: {_ADVICE}, or allow that with --trust, trust=True")
    try:
        loaded = load_classifier(
            configuration.model if model is None else model, device, trust=trust
        )
    except InputError as error:
        if model is not None:
            raise
        return KnownModel(None, f"the model of the run cannot be loaded ({error}): {_ADVICE}")
    if fingerprint(loaded) != configuration.model_fingerprint:
        name = model_name(model) if isinstance(model, str) else configuration.model
        raise InputError(
            f"the model {name!r} is not the one that the run attacked: its weights or its code "
            "differ. Name the model of the run."
        )
    return KnownModel(loaded)
