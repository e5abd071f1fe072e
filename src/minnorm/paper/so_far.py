"""What the runs of an experiment have finished so far, without the networks."""

import logging
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from minnorm.acceleration.words import AUTO, check_use
from minnorm.attacks import load_attack
from minnorm.attacks.composition import attack_name
from minnorm.data import load_data
from minnorm.errors import InputError, MissingFileError, MissingLibraryError
from minnorm.evaluation import Evaluation, load_run
from minnorm.models.names import model_name
from minnorm.paper.shared_runs import SharedRun

logger = logging.getLogger(__name__)


def run_so_far(
    part: SharedRun, out: Path, *, seed: int, accelerate: str | None
) -> Evaluation | None:
    """Return what a run has finished, `None` if that is nothing.

    Args:
        part: The rows that share the run.
        out: The folder of all experiments of a scale.
        seed: The seed of the experiment.
        accelerate: How the networks are accelerated; `None` for what the experiment says.

    Raises:
        InputError: If it is a run of something else.
    """
    folder = out / part.folder
    if not (folder / "manifest.json").exists():
        return None
    run = load_run(folder)
    found = run.manifest["configuration"]
    ran = {entry["name"]: entry["spec"] for entry in found["attacks"]}
    known = (
        ("network", found["model"], model_name(part.setting.model)),
        *_compared_data(part.data, found),
        ("targets", found["targets"], part.setting.targets),
        ("seed", found["seed"], seed),
        *_compared_acceleration(accelerate or part.accelerate, found),
        *(
            (row.name, ran[row.name], attack_name(load_attack(row.attack)))
            for row in part.rows
            if row.name in ran
        ),
    )
    differences = [f"  {name}: {one}, not {other}" for name, one, other in known if one != other]
    if differences:
        raise InputError(
            f"{folder} holds a run of something else:",
            *differences,
            "Name another folder with --out, or give the options that the run was started with.",
        )
    return run if len(run.records) else None


def _compared_data(spec: str, found: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """Yield what a run says of its data, and what they are; nothing if they are not here."""
    try:
        data = load_data(spec)
    except (MissingFileError, MissingLibraryError) as error:
        logger.warning("%s is not compared with the images of the run: %s", spec, error)
        return
    yield "data", found["data"], data.name
    yield "samples", range(*found["indices"]), data.indices
    yield "fingerprint of the data", found["data_fingerprint"], data.fingerprint


def _compared_acceleration(
    words: str, found: Mapping[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """Yield the acceleration of a run, and the one that is asked for, if they differ."""
    if words != AUTO and set(check_use(words, "accelerate")) != set(
        check_use(found["acceleration"], "acceleration")
    ):
        yield "acceleration", found["acceleration"], words


def check_alike(runs: Collection[Evaluation]) -> None:
    """Check that runs of one network had the same weights, and runs of one data set the same data.

    Raises:
        InputError: If they had not.
    """
    for name, what, prints in (
        ("model", "the network", ("model_fingerprint", "model_code")),
        ("data", "the data", ("data_fingerprint",)),
    ):
        seen: dict[tuple[str, str], tuple[object, Path | None]] = {}
        for run in runs:
            found = run.manifest["configuration"]
            for one in prints:
                if found.get(one) is None:  # a run of an earlier version
                    continue
                value, place = seen.setdefault((one, found[name]), (found[one], run.directory))
                if value != found[one]:
                    raise InputError(
                        f"{what} {found[name]} was another one in {place} than in "
                        f"{run.directory}: run one of them again, in another folder."
                    )
