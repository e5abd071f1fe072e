"""Remembered decisions: what was measured for the same model on the same machine.

    <cache>/decisions.json

The file only saves time. What is damaged, of another format or not as expected is ignored, and a
remembered acceleration is checked again before it is used.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from minnorm.acceleration.words import AUTO, check_use
from minnorm.data.cache import cache_folder
from minnorm.files import write_atomically
from minnorm.runtime import provenance

logger = logging.getLogger(__name__)

_MOST = 500
"""The most decisions that are kept; the oldest ones go first."""

Key = Mapping[str, str]
"""What a decision depends on."""

_Kind = TypeVar("_Kind", bound=BaseModel)


def _never_automatic(words: str) -> str:
    """Refuse words that measuring never chooses: `compiled` takes a minute or more."""
    if {AUTO, "compiled"} & set(check_use(words, "acceleration")):
        raise ValueError(f"{words!r} is not the result of a measurement")
    return words


class AccelerationDecision(BaseModel):
    """The techniques that were the fastest.

    Attributes:
        words: The techniques, see `minnorm.accelerate`.
        gradient: The seconds of a gradient of one sample, by the model as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    words: Annotated[str, AfterValidator(_never_automatic)]
    gradient: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BatchSizeDecision(BaseModel):
    """The batch size that was the fastest.

    Attributes:
        size: The batch size.
        most: The largest size that was possible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: Annotated[int, Field(ge=1)]
    most: Annotated[int, Field(ge=1)]

    def fits(self, samples: int) -> bool:
        """Return whether the decision holds for so many samples: more of them might gain."""
        return self.size < self.most or samples <= self.most


def circumstances(fingerprint: str, inputs: Tensor) -> dict[str, str]:
    """Return what all decisions for a model depend on.

    Args:
        fingerprint: The fingerprint of the model.
        inputs: A batch of inputs.
    """
    machine = provenance.hardware(inputs.device)
    versions = provenance.versions()
    described = {
        "model": fingerprint,
        "sample": str(list(inputs.shape[1:])),
        "dtype": str(inputs.dtype),
        "device": inputs.device.type,
        **{name: machine.get(name) for name in ("processor", "instructions", "threads", "gpu")},
        **{name: versions.get(name) for name in ("minnorm", "torch")},
        "cuda": torch.version.cuda,
    }
    return {name: str(value) for name, value in described.items()}


def recall(key: Key, kind: type[_Kind]) -> _Kind | None:
    """Return the decision of this kind for these circumstances, if there is a valid one."""
    for entry in _entries(_file()):
        if entry.get("key") == {**key, "kind": kind.__name__}:
            try:
                return kind.model_validate_json(json.dumps(entry.get("value")))
            except ValidationError:
                return None
    return None


def remember(key: Key, decision: BaseModel) -> None:
    """Keep a decision for the next run. A folder that cannot be written is no error."""
    file = _file()
    own = {**key, "kind": type(decision).__name__}
    others = [entry for entry in _entries(file) if entry.get("key") != own]
    kept = [*others, {"key": own, "value": decision.model_dump(mode="json")}][-_MOST:]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, lambda path: path.write_text(json.dumps(kept, indent=1) + "\n"))
    except OSError as error:
        logger.info("cannot remember a measurement: %s", error)


def _file() -> Path:
    return cache_folder() / "decisions.json"


def _entries(file: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):  # it does not exist, or is damaged
        return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
