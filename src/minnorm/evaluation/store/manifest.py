"""The manifest of a run: its configuration, its doubts, and the processes that worked on it."""

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from minnorm.doubts import Doubt
from minnorm.errors import InputError
from minnorm.evaluation.store.configuration import Configuration
from minnorm.runtime import provenance

FORMAT: Literal[4] = 4
"""Version of the layout of a run directory; a directory of another version is refused."""

_PARTS_OF_SESSIONS = {
    "acceleration": list,
    "started": str,
    "ranks": int,
    "revision": str,
    "versions": dict,
    "hardware": dict,
    "trust": bool,
}
"""The types of the parts of a session, all of which may be missing."""


def _check_session(session: dict[str, Any]) -> dict[str, Any]:
    for name, kind in _PARTS_OF_SESSIONS.items():
        if name in session and not isinstance(session[name], kind):
            raise ValueError(f"{name} is of another type than {kind.__name__}")
    return session


class Manifest(BaseModel):
    """The description of a run, stored beside its records.

    Attributes:
        format: The version of the layout.
        run: The identity of the run, random text.
        configuration: What determines the records.
        classes: The names of the classes by label, empty if they are unknown.
        doubts: What makes the results doubtful.
        sessions: The processes that worked on the run, see `new_session`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Literal[4] = FORMAT
    run: str
    configuration: Configuration
    classes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...]
    sessions: tuple[Annotated[dict[str, Any], AfterValidator(_check_session)], ...]

    @property
    def batches(self) -> int:
        """The number of batches of each attack."""
        samples = len(range(*self.configuration.indices))
        return -(-samples // self.configuration.batch_size)

    @property
    def units(self) -> int:
        """The number of units of the run."""
        return self.batches * len(self.configuration.attacks)

    def values(self) -> dict[str, Any]:
        """Return the manifest as JSON values, the form in which users get it."""
        return self.model_dump(mode="json")

    def text(self) -> str:
        """Return the content of the file."""
        return json.dumps(self.values(), indent=2) + "\n"


def new_run() -> str:
    """Return the identity of a new run."""
    return uuid.uuid4().hex


def new_session(
    device: torch.device,
    acceleration: Sequence[str],
    libraries: Mapping[str, str],
    *,
    trust: bool = False,
) -> dict[str, Any]:
    """Describe this process: the acceleration, code, versions and hardware; JSON values.

    Args:
        device: The device of the model.
        acceleration: The reasons for the choice of the acceleration.
        libraries: The versions of further libraries, those of the model and of users' attacks.
        trust: Whether the file of the model was allowed to run code.
    """
    session = provenance.session(device)
    versions = {**session["versions"], **libraries}
    return {"acceleration": list(acceleration), **session, "versions": versions, "trust": trust}


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        InputError: If the file is damaged or of another version.
    """
    try:
        text = path.read_text()
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise InputError(
            f"{path} is of format {found}, but this version of minnorm reads format {FORMAT}, with "
            "checksums of all files: another version wrote it. Read the run with that version, or "
            "repeat it in another folder."
        )
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{path} is damaged: {place}: {problem['msg']}.") from error
