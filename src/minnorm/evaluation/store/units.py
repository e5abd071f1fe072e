"""The units of a run, and the checksums that bind their files to it."""

import hashlib
import json
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from minnorm.evaluation.store.manifest import Manifest


class Unit(NamedTuple):
    """The unit of work: one attack on one batch, with all its targets."""

    batch: int
    attack: int

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"{batch_name(self.batch)}-{self.attack:02d}"


def batch_name(batch: int) -> str:
    """Return the stem of the file that all units of a batch share."""
    return f"{batch:06d}"


class Checksums(BaseModel):
    """The checksums of a unit, a file of their own.

    Attributes:
        unit: The identity of the unit, see `identity`.
        records: The SHA-256 of its records.
        adversarials: The SHA-256 of its adversarials; `None` if they are not kept.
        inputs: The SHA-256 of the inputs of its batch; `None` if adversarials are not kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    unit: str
    records: str
    adversarials: str | None
    inputs: str | None


_ADDED = ("model_code",)
"""The fields of a configuration that runs of earlier versions lack."""


def identity(manifest: Manifest, unit: Unit) -> str:
    """Return a hash of the run, its configuration, and the batch and the attack of a unit.

    The other attacks of the run are left out, since attacks can be added to it.
    """
    configuration = manifest.configuration.model_dump(mode="json")
    for name in _ADDED:
        if configuration[name] is None:
            del configuration[name]
    attacks = configuration.pop("attacks")
    content = [manifest.run, configuration, unit.batch, attacks[unit.attack]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
