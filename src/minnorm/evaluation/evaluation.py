"""The evaluation: attack a model on data, judge the results, and keep them as records."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minnorm.acceleration import check_use
from minnorm.access import access_of
from minnorm.attacks import Model
from minnorm.attacks.composition import attack_name, most_demanding, norm_of
from minnorm.attacks.contract import BEST_ATTACKS
from minnorm.attacks.fingerprints import Fingerprint, fingerprint_attack
from minnorm.data import Data, as_data
from minnorm.doubts import Doubt
from minnorm.evaluation.preparation.arguments import (
    Attacks,
    accesses_of,
    check_device,
    checked_batch_size,
    checked_bounds,
    checked_seed,
    load_classifier,
    named_attacks,
    restrictions_of,
)
from minnorm.evaluation.preparation.model_code import fingerprint_of_code
from minnorm.evaluation.preparation.model_versions import versions_of_model
from minnorm.evaluation.preparation.probe import probe_model
from minnorm.evaluation.preparation.random_draws import draws_of
from minnorm.evaluation.preparation.tuning import BatchSize, tune
from minnorm.evaluation.preparation.work import workload
from minnorm.evaluation.running.continuing import check_finished
from minnorm.evaluation.running.progress import (
    EvaluationProgress,
    passes_in_words,
    shown_progress,
)
from minnorm.evaluation.running.restrictions import Restrictions
from minnorm.evaluation.running.runner import Runner
from minnorm.evaluation.running.targets import (
    Targets,
    check_enough_classes,
    check_targets,
    count_targets,
)
from minnorm.evaluation.store.configuration import AttackEntry, Configuration, OpenConfiguration
from minnorm.evaluation.store.loaded_runs import (
    Evaluation,
    doubts_about_records,
    evaluation_of,
    finished_run,
)
from minnorm.evaluation.store.manifest import Manifest, new_run, new_session
from minnorm.evaluation.store.run_directory import Claim, RunDirectory
from minnorm.evaluation.store.unit_files import UnitFiles
from minnorm.models import Estimator, fingerprint
from minnorm.models.names import model_name
from minnorm.runtime import devices, ranks, threads

logger = logging.getLogger(__name__)


@torch.inference_mode(False)  # a model that is loaded in inference mode has no gradients
@devices.full_float32()
@threads.shared_cores()
def evaluate(
    model: str | Model | Estimator,
    data: Any,
    attacks: Attacks | None = None,
    *,
    out: str | Path | None = None,
    targets: Targets = None,
    batch_size: BatchSize = "auto",
    accelerate: str = "auto",
    device: str | torch.device | None = None,
    seed: int = 0,
    bounds: Any = None,
    mask: Any = None,
    save_adversarials: bool = True,
    trust: bool = False,
    progress: bool = False,
    on_progress: EvaluationProgress | None = None,
) -> Evaluation:
    """Measure the distances to the closest adversarials, and record the results of each sample.

    On a GPU, float32 is computed in full precision and not in TF32.

    Under `torchrun`, the ranks share the batches: rank r takes every batch whose number is r
    modulo the number of ranks. At a given batch size and acceleration the batches, and so the
    records, do not depend on the number of ranks. Each rank returns the records of all.

    Args:
        model: A model spec (see `minnorm.load_model`), a classifier in evaluation mode, or a
            fitted one of scikit-learn. Of an accelerated one the original is used, since
            `accelerate` decides how it is accelerated.
        data: A data spec (see `minnorm.load_data`), a pair (inputs, labels), or a data set.
        attacks: Attack specs such as `ddn(steps=300)`, or functions; several in a list, or in a
            mapping that names them. By default the best attack of the package for what the model
            offers, see `minnorm.attack`.
        out: The run directory. A run that was interrupted there continues where it stopped, and a
            run there gets the attacks that it lacks; the records of the others stay. By default
            nothing is written.
        targets: `None` for untargeted attacks, else `all`, `least-likely` or `random:K`. Classes
            that the model masks, with a logit of -inf or far below the others, are no targets.
        batch_size: Samples attacked at once. `auto` takes as many as speed up the run and fit into
            memory; it measures the time of gradients as far as that is short beside the work, or
            that of a forward pass if no attack needs gradients. A batch that does not fit is
            halved.
        accelerate: How the attacks of this package call the model, see `minnorm.accelerate`; what
            they find is verified by the original model. `auto` measures if that takes less than
            2 % of the time that the attacks are expected to take, and else leaves the model as it
            is, also if no attack needs gradients. A later run of the same model on the same machine
            uses what was measured. So two runs may choose differently: the choice is `acceleration`
            in the configuration of the run, a value that this argument takes. `off` leaves the
            model as it is; with a given batch size it repeats a run exactly.
        device: The device of a model given by its spec; by default a GPU if there is one. Any other
            model stays on its device.
        seed: The seed of the random targets, and of the generator that each attack gets for each
            batch.
        bounds: The lowest and the highest value of an input: two numbers, or two arrays or tensors
            with a bound for each feature, which broadcast to a sample. 8-bit values are divided by
            255 for (0, 1), and stay as they are for (0, 255). By default those of the data set, if
            it has any, else (0, 1).
        mask: Which features may change: a boolean array or tensor that broadcasts to a sample. The
            attacks get the value of any other feature as both of its bounds. By default the mask of
            the data set; without one all features may change.
        save_adversarials: Whether the run directory keeps the adversarials too, and the inputs.
        trust: Whether a file that the spec of the model, or of a surrogate, names may run the code
            that it holds.
        progress: Whether to show the progress on standard error: a bar on a terminal or in a
            notebook, else lines from time to time.
        on_progress: Called after each gradient and each finished unit, and after each query of an
            attack that needs no gradients, see `EvaluationProgress`.

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
    named = (
        {} if attacks is None else named_attacks(attacks, trust=trust)
    )  # before the model, which may be slow
    bounds = None if bounds is None else checked_bounds(bounds)
    directory = None if out is None else RunDirectory(Path(out))
    if directory is not None:
        directory.check_usable()
    ranks.check_launch()
    check_device(model, device)
    samples = as_data(data)  # before the model, which may take long to load
    restrictions = restrictions_of(samples, bounds, mask)
    samples = samples.within(restrictions.bounds)
    classifier = load_classifier(model, device, trust=trust)
    if attacks is None:
        named = named_attacks(BEST_ATTACKS[access_of(classifier)]["l2"])
    accesses = accesses_of(named, classifier, model)
    access = most_demanding(accesses.values())
    probe = probe_model(classifier, samples, restrictions, access)
    doubts = (*samples.doubts, *probe.doubts)
    for doubt in probe.doubts:  # those of the data were logged when they were loaded
        logger.warning("%s", doubt.text)
    check_enough_classes(targets, probe.classes, probe.masked)
    dtype, place = devices.dtype_and_device(classifier)
    if place.type == "cpu":
        threads.warn_if_crowded()
    codes = {name: fingerprint_attack(attack) for name, attack in named.items()}
    known = OpenConfiguration(
        model=model_name(model if isinstance(model, str) else classifier),
        model_fingerprint=fingerprint(classifier),
        model_answers=probe.answers,
        model_code=fingerprint_of_code(classifier),
        data=samples.name,
        data_fingerprint=samples.fingerprint,
        indices=(samples.indices.start, samples.indices.stop, samples.indices.step),
        attacks=tuple(
            AttackEntry(
                name=name,
                spec=attack_name(attack),
                norm=norm_of([attack]),
                code=codes[name].code,
                access=accesses[name],
            )
            for name, attack in named.items()
        ),
        targets=targets,
        seed=seed,
        bounds=restrictions.range,
        restrictions=restrictions.entry(probe.inputs.shape[1:]),
        dtype=str(dtype),
        device=place.type,
        save_adversarials=bool(save_adversarials),
        random_draws=draws_of(classifier),
        batch_size=None if batch_size == "auto" else batch_size,
    )
    passes = passes_in_words(accesses.values())
    with (
        shown_progress(on_progress, show=progress, passes=passes) as report,
        ranks.process_group(),
    ):
        interrupted = _interrupted(directory, known, classifier, samples, restrictions)
        known = known.after(interrupted)
        named = {entry.name: named[entry.name] for entry in known.attacks}
        if directory is not None:
            _warn_of_unseen(codes)
        tuning = tune(
            classifier,
            probe.inputs,
            workload(
                named.values(),
                len(samples),
                targets=count_targets(targets, probe.classes),
                ranks=ranks.world_size(),
            ),
            acceleration=accelerate,
            batch_size=batch_size,
            fingerprint=known.model_fingerprint if isinstance(classifier, nn.Module) else None,
            interrupted=interrupted,
            access=access,
        )
        configuration = known.decide(tuning.batch_size, tuning.model.used)
        keep = save_adversarials and directory is not None
        runner = Runner(
            tuning.model,
            samples,
            named,
            configuration,
            keep,
            restrictions,
            probe.loses_gradients,
        )
        libraries = versions_of_model(classifier) | {
            key: one for code in codes.values() for key, one in code.libraries.items()
        }
        session = new_session(place, tuning.model.notes, libraries, trust=bool(trust))
        if directory is not None:
            manifest = _run_in(directory, runner, doubts, session, report)
            result = finished_run(directory, manifest)
        else:
            manifest = Manifest(
                run=new_run(),
                configuration=configuration,
                classes=samples.classes,
                doubts=doubts,
                sessions=(session,),
            )
            result = evaluation_of(runner.records(report), manifest, None)
        for doubt in doubts_about_records(result.records, result.classes):
            logger.warning("%s", doubt.text)
        return result


def _warn_of_unseen(codes: Mapping[str, Fingerprint]) -> None:
    """Log what a later session of the run cannot compare."""
    for name, code in codes.items():
        if code.unseen and ranks.rank() == 0:
            logger.warning(
                "%s: a session that continues this run cannot notice changes of %s. After such a "
                "change, name another folder.",
                name,
                ", ".join(code.unseen),
            )


def _interrupted(
    directory: RunDirectory | None,
    known: OpenConfiguration,
    classifier: Model,
    samples: Data,
    restrictions: Restrictions,
) -> Configuration | None:
    """Return the configuration of the run in a directory, as the first rank reads and checks it."""
    found = None
    with ranks.raise_on_all():
        if directory is not None and ranks.rank() == 0:
            found = directory.interrupted(known)
            if found is not None:
                records = UnitFiles(directory.path, directory.manifest()).records()
                check_finished(
                    directory.path,
                    records,
                    found,
                    model=classifier,
                    data=samples,
                    restrictions=restrictions,
                )
    first: Configuration | None = ranks.gather(found)[0]
    return first


def _run_in(
    directory: RunDirectory,
    runner: Runner,
    doubts: Sequence[Doubt],
    session: Mapping[str, Any],
    on_progress: EvaluationProgress | None,
) -> Manifest:
    """Finish all units of a run in its directory, together with the other ranks."""
    try:
        claim = None
        with ranks.raise_on_all():
            if ranks.rank() == 0:
                claim = directory.claim(
                    runner.configuration, doubts, session, classes=runner.data.classes
                )
        first: Claim = ranks.gather(claim)[0]
        files = UnitFiles(directory.path, first.manifest)
        with ranks.raise_on_all():
            for unit, (records, kept) in runner.results(first.finished, on_progress):
                files.save(unit, records, kept)
        files.wait_until_visible()
    finally:
        directory.release()
    return first.manifest
