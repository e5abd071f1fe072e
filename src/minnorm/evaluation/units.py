"""The units of a run: one attack on one batch each, attacked, judged, and made into records."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from minnorm import runtime
from minnorm.acceleration import Accelerated, is_out_of_memory
from minnorm.attacks import Attack
from minnorm.attacks.combinators import norm_of
from minnorm.attacks.look import clean_logits
from minnorm.data import Data
from minnorm.errors import in_short
from minnorm.evaluation.intake import read_batch
from minnorm.evaluation.judge import Verdict, join_verdicts, run_and_judge
from minnorm.evaluation.records import Records, join_records, make_records
from minnorm.evaluation.run_directory import Unit
from minnorm.evaluation.targets import Targets, choose_targets
from minnorm.geometry import Bounds, distances, span
from minnorm.losses import predictions

logger = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[int, int, int], None]
"""Called with the number of finished units and of all units of this rank (a unit is one attack on
one batch), and the number of gradients taken so far, a batch's counted as one."""


@dataclass
class Run:
    """What the units of a run have in common.

    Attributes:
        model: What is attacked, and its original, which judges.
        data: The samples.
        attacks: The attacks by their names; their order numbers the units.
        targets: See `minnorm.evaluate`; so the next three.
        batch_size: Samples in a unit.
        seed: Decides the random targets, and the generator of each attack and batch.
        bounds: The lowest and the highest value of an input.
        save_adversarials: Whether the adversarials are given besides the records.
    """

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

    def _prepare(self, batch: int) -> "Batch":
        start = batch * self.batch_size
        positions = range(start, min(start + self.batch_size, len(self.data)))
        inputs, labels = read_batch(self.model.original, self.data, positions, self.bounds)
        indices = [self.data.indices[position] for position in positions]
        logits = clean_logits(self.model.original, inputs, labels, self.data.name)
        return Batch(
            indices,
            inputs,
            labels,
            predictions(logits),
            choose_targets(self.targets, logits, labels, indices, self.seed),
        )

    def _unit(
        self, name: str, attack: Attack, batch: "Batch", on_backward: Callable[[], None]
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
class Batch:
    """A batch, ready to be attacked."""

    indices: list[int]
    inputs: Tensor
    labels: Tensor
    predictions: Tensor
    targets: list[Tensor | None]
