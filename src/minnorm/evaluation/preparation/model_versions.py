"""The versions of the libraries that run a model."""

from torch import nn

from minnorm.attacks import Model
from minnorm.attacks.code.origins import PYTHON, library_of, versions_of


def versions_of_model(model: Model) -> dict[str, str]:
    """Return the versions of the libraries that the parts of a model come from, by name.

    Args:
        model: The classifier. Of a model without gradients, its attribute `libraries` names modules
            of those that predict.
    """
    parts = list(model.modules()) if isinstance(model, nn.Module) else [model]
    modules = {type(part).__module__ for part in parts}
    modules.update(name for part in parts for name in getattr(part, "libraries", ()))
    packages = {library_of(name) for name in modules} - {None, PYTHON, "minnorm"}
    return {
        key: one for name in sorted(map(str, packages)) for key, one in versions_of(name).items()
    }
