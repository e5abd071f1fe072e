"""The runner: attacks the batches of a run, unit by unit, and makes records of the verdicts."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from minnorm import boxes
from minnorm.acceleration import Accelerated
from minnorm.attacks import Attack
from minnorm.attacks.composition import fixed_radii_of, norm_of, radius_limit_of
from minnorm.data import Data
from minnorm.errors import InputError, OutOfMemoryError, is_bug, one_line
from minnorm.evaluation.records import Records, join_records, make_records
from minnorm.evaluation.running.batches import (
    CleanBatch,
    decision_before,
    read_batch,
    with_votes,
)
from minnorm.evaluation.running.judge import (
    Verdict,
    join_verdicts,
    run_and_judge,
    with_misclassified,
)
from minnorm.evaluation.running.progress import EvaluationProgress
from minnorm.evaluation.running.restrictions import Restrictions
from minnorm.evaluation.running.targets import choose_targets
from minnorm.evaluation.store.configuration import Configuration
from minnorm.evaluation.store.unit_files import Kept
from minnorm.evaluation.store.units import Unit
from minnorm.geometry import distances
from minnorm.logits import predictions
from minnorm.radii import measured_gaps
from minnorm.runtime import memory, ranks

logger = logging.getLogger(__name__)


class Result(NamedTuple):
    """The result of a unit.

    Attributes:
        records: Its records.
        kept: Its inputs and adversarials; `None` if they are not kept.
    """

    records: Records
    kept: Kept | None


@dataclass
class Runner:
    """What the units of a run share.

    Attributes:
        model: The model to attack, and its original, which the judge uses.
        data: The samples.
        attacks: The attacks by name; the numbers of the units follow their order.
        configuration: The configuration of the run: targets, batch size and seed.
        keep_adversarials: Whether the results include inputs and adversarials.
        restrictions: The bounds and the mask of a sample.
        inset_gradients: Whether attacks differentiate the model slightly inside the bounds.
    """

    model: Accelerated
    data: Data
    attacks: Mapping[str, Attack]
    configuration: Configuration
    keep_adversarials: bool
    restrictions: Restrictions
    inset_gradients: bool = False
    _fitting: int | None = None  # samples that fit into memory; set when a batch does not fit

    def records(self, on_progress: EvaluationProgress | None) -> Records:
        """Finish all units, together with the other ranks, and return the records of all ranks."""
        own = {}
        with ranks.raise_on_all():
            for unit, (records, _) in self.results(set(), on_progress):
                own[unit] = records
        merged = {unit: records for part in ranks.gather(own) for unit, records in part.items()}
        order = sorted(merged, key=lambda unit: (unit.attack, unit.batch))
        return join_records([merged[unit] for unit in order])

    def results(
        self, finished: set[Unit], on_progress: EvaluationProgress | None
    ) -> Iterator[tuple[Unit, Result]]:
        """Return the results of this rank's units, one after the other, except finished ones."""
        size = self.configuration.batch_size
        batches = range(-(-len(self.data) // size))
        own = batches[ranks.rank() :: ranks.world_size()]
        unfinished = {
            number: [n for n in range(len(self.attacks)) if Unit(number, n) not in finished]
            for number in own
        }
        total = len(own) * len(self.attacks)
        done = total - sum(len(attacks) for attacks in unfinished.values())
        passes = 0

        def report(new_passes: int = 0) -> None:
            nonlocal passes
            passes += new_passes
            if on_progress is not None:
                on_progress(done, total, passes)

        report()
        for number, attacks in unfinished.items():
            if not attacks:
                continue
            positions = range(number * size, min((number + 1) * size, len(self.data)))
            model = self.model.original
            batch = read_batch(model, self.data, positions, self.restrictions.bounds)
            batch = with_votes(model, batch, self.data.name)
            targets = choose_targets(
                self.configuration.targets,
                batch.logits,
                batch.labels,
                batch.indices,
                self.configuration.seed,
            )
            for which in attacks:
                name, attack = list(self.attacks.items())[which]
                result = self._attack_batch(name, attack, batch, targets, lambda: report(1))
                yield Unit(number, which), result
                done += 1
                report()
                logger.info("%s on batch %d: %d of %d done", name, number, done, total)

    def _attack_batch(
        self,
        name: str,
        attack: Attack,
        batch: CleanBatch,
        targets: list[Int64[Tensor, "b"] | None],
        on_pass: Callable[[], None],
    ) -> Result:
        """Run an attack on a batch, once for each target of its samples."""
        gray_distances = distances(
            boxes.middle(self.restrictions.of(batch.inputs), batch.inputs), batch.inputs
        )
        clean = decision_before(batch, batch.labels)
        correct = None if clean.shares is None else 1 - clean.shares
        norm = norm_of([attack])
        radius_limit, fixed_radii = radius_limit_of(attack, norm), fixed_radii_of(attack, norm)
        records, adversarials = [], []
        for target in targets:
            verdict = self._judge(name, attack, batch, target, on_pass)
            records.append(
                make_records(
                    name,
                    norm,
                    batch.indices,
                    batch.labels,
                    target,
                    radius_limit=radius_limit,
                    fixed_radii=fixed_radii,
                    predictions=(predictions(clean.logits), verdict.predictions),
                    success=verdict.success,
                    reported=verdict.reported,
                    shares=(correct, verdict.shares),
                    distances=verdict.distances,
                    rounding=measured_gaps(batch.inputs, verdict.adversarials),
                    gray=gray_distances,
                    constants=verdict.constants,
                    spent=verdict.spent,
                )
            )
            if self.keep_adversarials:  # many targets have many adversarials, so not on a GPU
                adversarials.append(verdict.adversarials.cpu())
        if not self.keep_adversarials:
            return Result(join_records(records), None)
        index = torch.tensor(batch.indices)
        tensors = {"index": index, "adversarials": torch.stack(adversarials)}
        wanted = [target.cpu() for target in targets if target is not None]
        if wanted:
            tensors["targets"] = torch.stack(wanted)
        return Result(
            join_records(records), Kept(tensors, {"index": index, "inputs": batch.inputs})
        )

    def _judge(
        self,
        name: str,
        attack: Attack,
        batch: CleanBatch,
        target: Int64[Tensor, "b"] | None,
        on_pass: Callable[[], None],
    ) -> Verdict:
        """Run and judge an attack on a batch, in parts if the whole does not fit into memory.

        Samples are independent, and each part has the same randomness: the verdict is the same.

        Raises:
            OutOfMemoryError: If there is not enough memory for a single sample.
        """
        labels = batch.labels if target is None else target
        verdicts = []
        start, size = 0, self._fitting or len(labels)
        while start < len(labels):
            part = slice(start, start + size)
            verdict = self._judge_part(
                name,
                attack,
                batch.inputs[part],
                labels[part],
                targeted=target is not None,
                on_pass=on_pass,
            )
            if verdict is not None:
                verdicts.append(verdict)
                start += size
                continue
            if size == 1:
                raise OutOfMemoryError(f"{name}: there is not enough memory for a single sample.")
            self._fitting = size = -(-size // 2)
            logger.warning("%s: not enough memory, %d samples at once from now on", name, size)
        before = decision_before(batch, labels, targeted=target is not None)
        return with_misclassified(
            join_verdicts(verdicts),
            batch.inputs,
            before.logits,
            labels,
            targeted=target is not None,
            shares=before.shares,
        )

    def _judge_part(
        self,
        name: str,
        attack: Attack,
        inputs: Tensor,
        labels: Tensor,
        *,
        targeted: bool,
        on_pass: Callable[[], None],
    ) -> Verdict | None:
        """Run and judge an attack on a part of a batch; return `None` if it does not fit.

        This is a separate function, so that the memory of the attack is freed when it returns.
        """
        try:
            return run_and_judge(
                name,
                attack,
                self.model,
                inputs,
                labels,
                targeted=targeted,
                bounds=self.restrictions.of(inputs),
                seed=self.configuration.seed,
                inset_gradients=self.inset_gradients,
                on_pass=on_pass,
            )
        except InputError:
            raise
        except Exception as error:  # a user's model or attack may raise anything, late in a run
            if memory.is_out_of_memory(error):
                return None
            if is_bug(error):
                raise
            raise InputError(f"{name}: the attack or the model raised {one_line(error)}") from error
