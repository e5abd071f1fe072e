"""Runs attacks on a model and data, judges them, and keeps the records."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch

from minnorm import runtime
from minnorm.acceleration import check_use
from minnorm.attacks import Attack, Model, attack_fingerprint, attack_name
from minnorm.attacks.checks import check_count
from minnorm.attacks.combinators import norm_of
from minnorm.attacks.default import DEFAULT
from minnorm.data import as_data
from minnorm.evaluation.intake import (
    check_model,
    model_dtype_and_device,
    named_attacks,
    take_model,
)
from minnorm.evaluation.preparation import BatchSize, prepare
from minnorm.evaluation.records import Records
from minnorm.evaluation.run_directory import RunDirectory, Unit, make_manifest
from minnorm.evaluation.targets import Targets, check_targets, choose_targets
from minnorm.evaluation.units import Progress, Run
from minnorm.geometry import Bounds
from minnorm.models import fingerprint

logger = logging.getLogger(__name__)

Attacks: TypeAlias = str | Attack | Sequence[str | Attack] | Mapping[str, str | Attack]
"""Attacks as users give them: specs or functions, one or many, named or not."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave.

    Attributes:
        records: One row for each (sample, attack, target), see `minnorm.evaluation.records`.
        manifest: Configuration, versions, hardware and revision.
        directory: Where it was written, if it was.
        warnings: What makes the numbers doubtful, for example that the model gives no gradients.
    """

    records: Records = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    directory: Path | None
    warnings: tuple[str, ...] = ()


@torch.inference_mode(False)  # a model that is loaded in it could not be differentiated
@runtime.full_float32()
def evaluate(
    model: str | Model,
    data: Any,
    attacks: Attacks = DEFAULT,
    *,
    out: str | Path | None = None,
    targets: Targets = None,
    batch_size: BatchSize = "auto",
    accelerate: str = "auto",
    device: str | torch.device | None = None,
    seed: int = 0,
    bounds: Bounds = (0.0, 1.0),
    save_adversarials: bool = True,
    trust: bool = False,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Measures how far the closest adversarials are, and writes down all that was seen.

    On a GPU float32 is computed as such, and not in TF32, while it runs.

    Started by `torchrun`, the ranks share the batches: rank r takes every batch whose number is r
    modulo the number of ranks, so that at a given batch size and acceleration each batch, and with
    it every record, is the same however many there are. All ranks get all records.

    Args:
        model: A model spec (see `minnorm.load_model`), or a classifier in evaluation mode; of an
            accelerated one the original, since `accelerate` says how it is asked.
        data: A data spec (see `minnorm.load_data`), a pair (inputs, labels), or a data set.
        attacks: Attack specs such as `ddn(steps=300)`, or functions; several in a list, or in a
            mapping that names them. By default the best of the package, see `minnorm.attack`.
        out: The run directory. A run that was interrupted there goes on where it stopped. By
            default nothing is written.
        targets: `None` for untargeted attacks, else `all`, `least-likely` or `random:K`.
        batch_size: Samples that are attacked at once; `auto` for as many as pay, by the time of
            gradients, and as fit into memory. A batch that does not fit all the same is halved.
        accelerate: How the attacks of this package ask the model, see `minnorm.accelerate`; what
            they find is verified by the model as it is. `auto` measures, so that two runs may
            choose otherwise: what was chosen is `acceleration` in the configuration of the run, a
            value that this argument takes. `off` leaves the model as it is.
        device: Where a model given by its spec runs; by default a GPU if there is one. A model
            given as such runs where it is.
        seed: Decides the random targets, and the generator that each attack gets for each batch.
        bounds: The lowest and the highest value of an input.
        save_adversarials: Whether the run directory keeps the adversarials too.
        trust: Let a file that the model's spec names run the code that it holds.
        on_progress: Called after each gradient and each finished unit, see `Progress`.

    Returns:
        The records, attack by attack, in the order of the data.

    Raises:
        ValueError: If something given cannot be used, or `out` holds another run. What was
            finished before stays in `out`.
        FileNotFoundError: If a file that a spec names is not there.
    """
    check_targets(targets)
    check_use(accelerate, "accelerate")
    if batch_size != "auto":
        check_count("batch_size", batch_size)
    check_count("seed", seed, least=0, most=2**63 - 1)
    named = named_attacks(attacks)
    bounds = (float(bounds[0]), float(bounds[1]))
    if not math.isfinite(bounds[1] - bounds[0]):
        raise ValueError(f"bounds={bounds}: an evaluation needs finite bounds.")
    classifier = take_model(model, device, trust=trust)
    samples = as_data(data)
    intake = check_model(classifier, samples, bounds)
    for warning in intake.warnings:
        logger.warning("%s", warning)
    if targets is not None:
        _check_enough_classes(targets, intake.classes)
    directory = None if out is None else RunDirectory(Path(out))
    with runtime.ranks():
        configuration: dict[str, Any] = {
            "model": model if isinstance(model, str) else type(classifier).__qualname__,
            "model_fingerprint": fingerprint(classifier),
            "model_answers": intake.answers,
            "data": samples.name,
            "data_fingerprint": samples.fingerprint,
            "indices": [samples.indices.start, samples.indices.stop, samples.indices.step],
            # A list, since the order numbers the units on disk.
            "attacks": [
                {
                    "name": name,
                    "spec": attack_name(one),
                    "norm": norm_of([one]),
                    "code": attack_fingerprint(one),
                }
                for name, one in named.items()
            ],
            "targets": targets,
            "seed": seed,
            "bounds": list(bounds),
            "dtype": str(model_dtype_and_device(classifier)[0]),
            "device": model_dtype_and_device(classifier)[1].type,
            "save_adversarials": save_adversarials,
        }
        known = (
            configuration if batch_size == "auto" else {**configuration, "batch_size": batch_size}
        )
        prepared = prepare(
            classifier,
            intake.inputs,
            len(samples),
            use=accelerate,
            batch_size=batch_size,
            begun={} if directory is None else directory.begun(known),
        )
        configuration |= {
            "batch_size": prepared.batch_size,
            "acceleration": prepared.model.used,
        }
        run = Run(
            prepared.model,
            samples,
            named,
            targets,
            prepared.batch_size,
            seed,
            bounds,
            save_adversarials and directory is not None,
        )
        place = model_dtype_and_device(classifier)[1]
        notes = prepared.model.notes
        if directory is None:
            manifest = make_manifest(configuration, intake.warnings, place, notes)
            return Evaluation(run.gathered(on_progress), manifest, None, intake.warnings)
        try:
            finished = _open(directory, configuration, intake.warnings, place, notes)
            with runtime.same_on_all_ranks():
                for unit, (records, adversarials) in run.units(finished, on_progress):
                    directory.save(unit, records, adversarials)
        finally:
            directory.release()
        return load_run(directory.path)


def load_run(path: str | Path) -> Evaluation:
    """Reads a run directory; neither the model nor the data is needed.

    Raises:
        ValueError: If it is not a run directory, or a file in it is damaged.
    """
    directory = RunDirectory(Path(path))
    manifest = directory.manifest()
    warnings = tuple(manifest["warnings"])
    return Evaluation(directory.records(), manifest, directory.path, warnings)


def _open(
    directory: RunDirectory,
    configuration: dict[str, Any],
    warnings: tuple[str, ...],
    device: torch.device,
    acceleration: Sequence[str],
) -> set[Unit]:
    """Claims the directory on the first rank, and tells all of them what is finished there."""
    finished: set[Unit] = set()
    with runtime.same_on_all_ranks():
        if runtime.rank() == 0:
            directory.claim(configuration, warnings, device, acceleration)
            finished = directory.finished()
    return set(runtime.gather(finished)[0])


def _check_enough_classes(targets: str, classes: int) -> None:
    label = torch.zeros(1, dtype=torch.int64)
    choose_targets(targets, torch.zeros(1, classes), label, [0], 0)
