"""The names of models, in reports and in messages."""

from minnorm import specs
from minnorm.errors import InputError
from minnorm.logits import Model
from minnorm.models.addresses import is_address, shown_address
from minnorm.models.averaged import Averaged
from minnorm.models.binary import Binary
from minnorm.models.normalized import Normalized
from minnorm.models.recognition import MODEL_FILES


def model_name(model: str | Model) -> str:
    """Return the name of a model: its spec, or the name of its class or function.

    A wrapper has that of the model inside too. Of an address neither user and password nor a query
    are part of the name.
    """
    if isinstance(model, str):
        return shown_address(model) if is_address(model) else model
    if isinstance(model, Normalized | Averaged | Binary):
        return f"{type(model).__name__}({model_name(model.model)})"
    return str(getattr(model, "__name__", type(model).__name__))


def shown_spec(spec: str) -> str:
    """Return a spec of a model as it may be written: of an address, with nothing secret.

    Its arguments are kept, but for headers that are no name of an environment variable.
    """
    if not is_address(spec):
        return spec
    try:
        parsed = specs.parse(spec)
    except InputError:
        return shown_address(spec)
    headers = parsed.arguments.get("headers")
    kept = {
        name: value
        for name, value in parsed.arguments.items()
        if name != "headers" or isinstance(headers, str)
    }
    return specs.format_spec(shown_address(parsed.head), kept)


def is_spec(name: str) -> bool:
    """Return whether `model_name` returned a spec, and not the name of a class or function.

    Without a spec, the model was a Python object, which cannot be loaded again.
    """
    return ":" in name or any(ending in name.lower() for ending in MODEL_FILES)
