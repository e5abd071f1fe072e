"""Runs attacks on a model and data, judges them, and keeps the records."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from minnorm import runtime
from minnorm.acceleration import Accelerated, check_use, is_out_of_memory, original
from minnorm.attacks import Attack, Model, attack_fingerprint, attack_name, load_attack
from minnorm.attacks.checks import check_attack, check_count
from minnorm.attacks.combinators import norm_of
from minnorm.attacks.default import DEFAULT
from minnorm.attacks.look import clean_logits
from minnorm.attacks.registry import check_presets
from minnorm.data import Data, as_data
from minnorm.errors import in_short
from minnorm.evaluation.intake import check_model, model_dtype_and_device, read_batch
from minnorm.evaluation.judge import Verdict, join_verdicts, run_and_judge
from minnorm.evaluation.preparation import BatchSize, prepare
from minnorm.evaluation.records import Records, join_records, make_records
from minnorm.evaluation.run_directory import RunDirectory, Unit, make_manifest
from minnorm.evaluation.targets import Targets, check_targets, choose_targets
from minnorm.geometry import Bounds, distances, span
from minnorm.losses import predictions
from minnorm.models import fingerprint, load_model

logger = logging.getLogger(__name__)

Attacks: TypeAlias = str | Attack | Sequence[str | Attack] | Mapping[str, str | Attack]
"""Attacks as users give them: specs or functions, one or many, named or not."""

Progress: TypeAlias = Callable[[int, int, int], None]
"""Called with the number of finished units and of all units of this rank (a unit is one attack on
one batch), and the number of gradients taken so far, a batch's counted as one."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave.

    Attributes:
        records: One row for each (sample, attack, target), see `minnorm.evaluation.records`.
        manifest: Configuration, versions, hardware and revision.
        directory: Where it was written, if it was.
        warnings: What makes the numbers doubtful, for example that the model gives no gradients.
    """

    records: Records
    manifest: dict[str, Any]
    directory: Path | None
    warnings: tuple[str, ...] = ()


@torch.inference_mode(False)  # a model that is loaded in it could not be differentiated
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
    named = _named(attacks)
    bounds = (float(bounds[0]), float(bounds[1]))
    if not math.isfinite(bounds[1] - bounds[0]):
        raise ValueError(f"bounds={bounds}: an evaluation needs finite bounds.")
    classifier = _classifier(model, device, trust=trust)
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
        run = _Run(
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


@dataclass
class _Run:
    """What the units of a run have in common."""

    model: Accelerated
    data: Data
    attacks: Mapping[str, Attack]
    targets: Targets
    batch_size: int
    seed: int
    bounds: Bounds
    save_adversarials: bool
    _fitting: int | None = None  # less than a batch, where that did not fit into memory

    def gathered(self, on_progress: Progress | None) -> Records:
        """Does all units, together with the other ranks, and gives the records of all of them."""
        own = {}
        with runtime.same_on_all_ranks():
            for unit, (records, _) in self.units(set(), on_progress):
                own[unit] = records
        merged = {unit: records for part in runtime.gather(own) for unit, records in part.items()}
        order = sorted(merged, key=lambda unit: (unit.attack, unit.batch))
        return join_records([merged[unit] for unit in order])

    def units(
        self, finished: set[Unit], on_progress: Progress | None
    ) -> Iterator[tuple[Unit, tuple[Records, dict[str, Tensor] | None]]]:
        """Does the units of this rank that are not finished, one after the other."""
        batches = range(-(-len(self.data) // self.batch_size))
        own = batches[runtime.rank() :: runtime.world_size()]
        todo = {
            batch: [n for n in range(len(self.attacks)) if Unit(batch, n) not in finished]
            for batch in own
        }
        total = len(own) * len(self.attacks)
        done = total - sum(len(numbers) for numbers in todo.values())
        gradients = 0

        def show(new_gradients: int = 0) -> None:
            nonlocal gradients
            gradients += new_gradients
            if on_progress is not None:
                on_progress(done, total, gradients)

        show()
        for batch, numbers in todo.items():
            if not numbers:
                continue
            prepared = self._prepare(batch)
            for number in numbers:
                name, attack = list(self.attacks.items())[number]
                records, adversarials = self._unit(name, attack, prepared, lambda: show(1))
                yield Unit(batch, number), (records, adversarials)
                done += 1
                show()
                logger.info("%s on batch %d: %d of %d done", name, batch, done, total)

    def _prepare(self, batch: int) -> "_Batch":
        start = batch * self.batch_size
        positions = range(start, min(start + self.batch_size, len(self.data)))
        inputs, labels = read_batch(self.model.original, self.data, positions, self.bounds)
        indices = [self.data.indices[position] for position in positions]
        logits = clean_logits(self.model.original, inputs, labels, self.data.name)
        return _Batch(
            indices,
            inputs,
            labels,
            predictions(logits),
            choose_targets(self.targets, logits, labels, indices, self.seed),
        )

    def _unit(
        self, name: str, attack: Attack, batch: "_Batch", on_backward: Callable[[], None]
    ) -> tuple[Records, dict[str, Tensor] | None]:
        gray = torch.full_like(batch.inputs, self.bounds[0] + span(self.bounds) / 2)
        gray_distances = distances(gray, batch.inputs)
        records, adversarials = [], []
        for targets in batch.targets:
            verdict = self._verdict(
                name,
                attack,
                batch.inputs,
                batch.labels if targets is None else targets,
                targeted=targets is not None,
                on_backward=on_backward,
            )
            records.append(
                make_records(
                    name,
                    norm_of([attack]),
                    batch.indices,
                    batch.labels,
                    targets,
                    predictions=(batch.predictions, verdict.predictions),
                    success=verdict.success,
                    distances=verdict.distances,
                    gray=gray_distances,
                    spent=verdict.spent,
                )
            )
            if self.save_adversarials:  # on the host at once: of many targets there are many
                adversarials.append(verdict.adversarials.cpu())
        if not self.save_adversarials:
            return join_records(records), None
        tensors = {"index": torch.tensor(batch.indices), "adversarials": torch.stack(adversarials)}
        if self.targets is not None:
            aims = [part.cpu() for part in batch.targets if part is not None]
            tensors["targets"] = torch.stack(aims)
        return join_records(records), tensors

    def _verdict(
        self, name: str, attack: Attack, inputs: Tensor, labels: Tensor, **given: Any
    ) -> Verdict:
        """Judges an attack on a batch, in parts where the whole does not fit into memory.

        Samples are independent, and each part has the same randomness: the verdict is the same.
        """
        verdicts = []
        start, size = 0, self._fitting or len(inputs)
        while start < len(inputs):
            part = slice(start, start + size)
            verdict = self._judged(name, attack, inputs[part], labels[part], **given)
            if verdict is not None:
                verdicts.append(verdict)
                start += size
                continue
            if size == 1:
                raise ValueError(f"{name}: there is not enough memory for a single sample.")
            self._fitting = size = -(-size // 2)
            logger.warning("%s: not enough memory, %d samples at once from now on", name, size)
        return join_verdicts(verdicts)

    def _judged(
        self, name: str, attack: Attack, inputs: Tensor, labels: Tensor, **given: Any
    ) -> Verdict | None:
        """Judges an attack on a part of a batch; `None` where memory does not suffice.

        A function of its own, so that what the attack held is freed when it returns.
        """
        try:
            return run_and_judge(
                name,
                attack,
                self.model,
                inputs,
                labels,
                bounds=self.bounds,
                seed=self.seed,
                **given,
            )
        except ValueError:
            raise
        except Exception as error:  # whatever a user's model or attack raises, late in a run
            if is_out_of_memory(error):
                return None
            raise ValueError(
                f"{name}: the attack, or the model that it asked, raised {in_short(error)}"
            ) from error


@dataclass(frozen=True)
class _Batch:
    """A batch, ready to be attacked."""

    indices: list[int]
    inputs: Tensor
    labels: Tensor
    predictions: Tensor
    targets: list[Tensor | None]


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


def _named(attacks: Any) -> dict[str, Attack]:  # not `Attacks`: here it is checked
    if isinstance(attacks, Mapping):
        named = {name: _loaded(attack) for name, attack in attacks.items()}
    else:
        several = isinstance(attacks, Sequence) and not isinstance(attacks, str)
        listed = [_loaded(attack) for attack in (attacks if several else [attacks])]
        named = {attack_name(attack): attack for attack in listed}
        if len(named) < len(listed):
            raise ValueError(
                "two of the attacks are the same: give them different parameters or names."
            )
    if not named:
        raise ValueError("no attack was given: name at least one, for example 'ddn'.")
    return named


def _loaded(attack: Any) -> Attack:
    """Gives the attack of a spec, or a function that can be used as one."""
    loaded = load_attack(attack) if isinstance(attack, str) else attack
    check_attack(loaded)
    check_presets(loaded)
    norm_of([loaded])  # raises for one that there is not, before anything runs
    return loaded


def _classifier(model: str | Model, device: str | torch.device | None, *, trust: bool) -> Model:
    model = original(model)
    if isinstance(model, str):
        place = runtime.default_device() if device is None else runtime.parse_device(str(device))
        return load_model(model, trust=trust).to(place)
    if not callable(model):
        raise ValueError(
            f"cannot use {type(model).__name__} as a model: give a spec or a callable."
        )
    actual = model_dtype_and_device(model)[1]
    asked = actual if device is None else runtime.parse_device(str(device))
    same = asked.type == actual.type and (asked.index or 0) == (actual.index or 0)
    if isinstance(model, nn.Module) and not same:
        raise ValueError(
            f"the model is on {actual}, device={str(device)!r} was asked for: move it there with "
            f"model.to({str(device)!r})."
        )
    return model


def _check_enough_classes(targets: str, classes: int) -> None:
    label = torch.zeros(1, dtype=torch.int64)
    choose_targets(targets, torch.zeros(1, classes), label, [0], 0)
