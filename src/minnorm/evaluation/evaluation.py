"""The evaluation: attack a model on data, judge the results, and keep them as records."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from minnorm.acceleration import Accelerated, check_use
from minnorm.attacks import Attack, Model
from minnorm.attacks.composition import attack_fingerprint, attack_name, norm_of
from minnorm.attacks.default import DEFAULT
from minnorm.data import as_data
from minnorm.evaluation.arguments import (
    Attacks,
    checked_batch_size,
    checked_seed,
    finite_bounds,
    load_classifier,
    named_attacks,
)
from minnorm.evaluation.batches import dtype_and_device
from minnorm.evaluation.configuration import AttackEntry, OpenConfiguration
from minnorm.evaluation.manifest import Manifest, new_session
from minnorm.evaluation.nan_warnings import nan_warnings
from minnorm.evaluation.probe import probe_model
from minnorm.evaluation.records import Records
from minnorm.evaluation.run_directory import RunDirectory, Unit
from minnorm.evaluation.runner import EvaluationProgress, Runner
from minnorm.evaluation.targets import Targets, check_enough_classes, check_targets
from minnorm.evaluation.tuning import BatchSize, tune
from minnorm.geometry import Bounds
from minnorm.models import fingerprint
from minnorm.runtime import devices, ranks

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    Attributes:
        records: One row for each (sample, attack, target), see `minnorm.evaluation.records`.
        manifest: Configuration, versions, hardware and revision; JSON values.
        directory: The run directory, if there is one.
        warnings: What makes the results doubtful, for example that the model has no gradients.
    """

    records: Records = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    directory: Path | None
    warnings: tuple[str, ...] = ()


@torch.inference_mode(False)  # a model that is loaded in inference mode has no gradients
@devices.full_float32()
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
    on_progress: EvaluationProgress | None = None,
) -> Evaluation:
    """Measure the distances to the closest adversarials, and record the results of each sample.

    On a GPU, float32 is computed in full precision and not in TF32.

    Under `torchrun`, the ranks share the batches: rank r takes every batch whose number is r
    modulo the number of ranks. At a given batch size and acceleration the batches, and so the
    records, do not depend on the number of ranks. Each rank returns the records of all.

    Args:
        model: A model spec (see `minnorm.load_model`), or a classifier in evaluation mode. Of an
            accelerated one the original is used, since `accelerate` decides how it is accelerated.
        data: A data spec (see `minnorm.load_data`), a pair (inputs, labels), or a data set.
        attacks: Attack specs such as `ddn(steps=300)`, or functions; several in a list, or in a
            mapping that names them. By default the best attack of the package, see
            `minnorm.attack`.
        out: The run directory. A run that was interrupted there continues where it stopped. By
            default nothing is written.
        targets: `None` for untargeted attacks, else `all`, `least-likely` or `random:K`.
        batch_size: Samples attacked at once. `auto` measures the time of gradients, and takes as
            many as speed up the run and fit into memory. A batch that does not fit is halved.
        accelerate: How the attacks of this package call the model, see `minnorm.accelerate`; what
            they find is verified by the original model. `auto` measures, so two runs may choose
            differently: the choice is `acceleration` in the configuration of the run, a value that
            this argument takes. `off` leaves the model as it is.
        device: The device of a model given by its spec; by default a GPU if there is one. Any other
            model stays on its device.
        seed: The seed of the random targets, and of the generator that each attack gets for each
            batch.
        bounds: The lowest and the highest value of an input.
        save_adversarials: Whether the run directory keeps the adversarials too.
        trust: Whether a file that the model's spec names may run the code that it holds.
        on_progress: Called after each gradient and each finished unit, see `EvaluationProgress`.

    Returns:
        The records, attack by attack, in the order of the data.

    Raises:
        InputError: If an argument cannot be used. What was finished before stays in `out`.
        RunConflictError: If `out` holds another run, or something else.
        OutOfMemoryError: If there is not enough memory for a single sample.
        MissingFileError: If a file that a spec names does not exist.
    """
    check_targets(targets)
    check_use(accelerate, "accelerate")
    batch_size = checked_batch_size(batch_size)
    seed = checked_seed(seed)
    named = named_attacks(attacks)
    bounds = finite_bounds(bounds)
    classifier = load_classifier(model, device, trust=trust)
    samples = as_data(data)
    probe = probe_model(classifier, samples, bounds)
    for warning in probe.warnings:
        logger.warning("%s", warning)
    check_enough_classes(targets, probe.classes)
    dtype, place = dtype_and_device(classifier)
    known = OpenConfiguration(
        model=model if isinstance(model, str) else type(classifier).__qualname__,
        model_fingerprint=fingerprint(classifier),
        model_answers=probe.answers,
        data=samples.name,
        data_fingerprint=samples.fingerprint,
        indices=(samples.indices.start, samples.indices.stop, samples.indices.step),
        attacks=tuple(_entry(name, attack) for name, attack in named.items()),
        targets=targets,
        seed=seed,
        bounds=bounds,
        dtype=str(dtype),
        device=place.type,
        save_adversarials=bool(save_adversarials),
        batch_size=None if batch_size == "auto" else batch_size,
    )
    directory = None if out is None else RunDirectory(Path(out))
    with ranks.process_group():
        tuning = tune(
            classifier,
            probe.inputs,
            len(samples),
            acceleration=accelerate,
            batch_size=batch_size,
            interrupted=None if directory is None else directory.interrupted(known),
        )
        configuration = known.decide(tuning.batch_size, tuning.model.used)
        keep = save_adversarials and directory is not None
        runner = Runner(tuning.model, samples, named, configuration, keep)
        if directory is not None:
            _run_in(directory, runner, probe.warnings, on_progress)
            return load_run(directory.path)
        manifest = Manifest(
            configuration=configuration,
            warnings=probe.warnings,
            sessions=(_session(tuning.model),),
        )
        return _evaluation(runner.records(on_progress), manifest, None)


def load_run(path: str | Path) -> Evaluation:
    """Read a run directory; neither the model nor the data is needed.

    Raises:
        InputError: If it is not a run directory, or a file in it is damaged.
    """
    directory = RunDirectory(Path(path))
    manifest = directory.manifest()
    return _evaluation(directory.records(), manifest, directory.path)


def _evaluation(records: Records, manifest: Manifest, directory: Path | None) -> Evaluation:
    counted = nan_warnings(records)
    for warning in counted:
        logger.warning("%s", warning)
    return Evaluation(records, manifest.values(), directory, (*manifest.warnings, *counted))


def _entry(name: str, attack: Attack) -> AttackEntry:
    """Return the entry of an attack in the configuration."""
    return AttackEntry(
        name=name, spec=attack_name(attack), norm=norm_of([attack]), code=attack_fingerprint(attack)
    )


def _run_in(
    directory: RunDirectory,
    runner: Runner,
    warnings: Sequence[str],
    on_progress: EvaluationProgress | None,
) -> None:
    """Finish all units of a run in its directory, together with the other ranks."""
    try:
        finished: set[Unit] = set()
        with ranks.raise_on_all():
            if ranks.rank() == 0:
                directory.claim(runner.configuration, warnings, _session(runner.model))
                finished = directory.finished()
        finished = ranks.gather(finished)[0]
        with ranks.raise_on_all():
            for unit, (records, adversarials) in runner.results(finished, on_progress):
                directory.save(unit, records, adversarials)
    finally:
        directory.release()


def _session(model: Accelerated) -> dict[str, Any]:
    return new_session(dtype_and_device(model.original)[1], model.notes)
