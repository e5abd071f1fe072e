"""The one training loop: updates, averages, validation, checkpoints, logging."""

import importlib.util
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from minnorm import runtime
from minnorm.acceleration import is_out_of_memory
from minnorm.data import Data
from minnorm.errors import in_short
from minnorm.models import save_weights
from minnorm.training import checkpoints
from minnorm.training.augmentation import Augmentation, load_augmentation
from minnorm.training.loading import TrainingBatch, batches
from minnorm.training.objectives import Adversarial, Objective
from minnorm.training.objectives.memory import Memory
from minnorm.training.optimization import make_optimizer, make_schedule
from minnorm.training.recipe import Recipe
from minnorm.training.validation import accuracy, robust_accuracy

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

Progress = Callable[[float, int, dict[str, float]], None]
"""Called after each update and each epoch with the epochs done, with the part of the one under way;
the epochs in all; and what was measured after the last whole one, nothing before there is one."""


class Run:
    """A run under way: all that an epoch changes.

    Attributes:
        state: What a checkpoint holds.
    """

    def __init__(
        self,
        fabric: "Fabric",
        recipe: Recipe,
        out: Path,
        *,
        network: nn.Module,
        objectives: Mapping[int, Objective],
        training: Data,
        validation: Data,
        workers: int,
    ) -> None:
        self._fabric, self._recipe, self._out = fabric, recipe, out
        self._augment, self._workers = load_augmentation(recipe.augmentation), workers
        self._network, self._training, self._validation = network, training, validation
        self._objectives = objectives
        self._adversarial = [one for one in objectives.values() if isinstance(one, Adversarial)]
        warm = [one for one in self._adversarial if one.warm_start]
        self._warm = bool(warm)
        self._memory = Memory(len(training))
        for objective in warm:  # one that takes over goes on from the points of the one before
            objective.memory = self._memory
        optimizer = make_optimizer(recipe, network)
        self._updates_in_epoch = len(training) // recipe.batch_size
        self._schedule = make_schedule(recipe, optimizer, self._updates_in_epoch)
        self._average: AveragedModel | None = None
        if recipe.ema is not None:  # before the hook, which is not to be copied
            averaging = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
        self._writer: SummaryWriter | None = None
        self._forwards = self._gradients = 0
        for asked in (network, *(other for one in self._adversarial for other in one.others)):
            asked.register_forward_hook(self._count)
        if recipe.compile:  # inside the network: the attack, which asks that alone, is faster too
            setattr(network, "forward", torch.compile(network.forward))  # noqa: B010 - for the types
        self._module, self._optimizer = fabric.setup(network, optimizer)
        self.state: dict[str, Any] = {
            "network": network,
            "optimizer": optimizer,
            "schedule": self._schedule,
            "precision": fabric.strategy.precision,  # which may have a scale of the loss
            "epoch": 0,
            "best": -1.0,
            "kept": {},
            "log": [],
            "sessions": [],
        }
        if self._average is not None:
            self.state["average"] = self._average.to(fabric.device)
        if self._warm:
            self.state["memory"] = self._memory

    def _count(self, module: nn.Module, _: object, logits: Tensor) -> None:
        """Counts what attacks ask: of networks in evaluation mode."""
        if module.training:
            return
        self._forwards += len(logits)
        if logits.requires_grad:
            logits.register_hook(self._count_gradients)  # type: ignore[no-untyped-call]

    def _count_gradients(self, gradients: Tensor) -> None:
        self._gradients += len(gradients)

    def _moved(self) -> int:
        return sum(int(objective.moved) for objective in self._adversarial)

    def epoch(self, epoch: int, on_progress: Progress) -> None:
        """Goes through the data once, validates, and keeps what is to be kept."""
        fabric, recipe, state = self._fabric, self._recipe, self.state
        started = time.perf_counter()
        # Each epoch's randomness follows from its number: one that is repeated is the same again.
        seed = recipe.seed + 1_000_003 * (epoch + 1) + fabric.global_rank
        fabric.seed_everything(seed % 2**32, verbose=False)
        learning_rate = float(self._schedule.get_last_lr()[0])
        before = self._moved()
        self._forwards = self._gradients = 0
        loss = self._updates(epoch, on_progress)
        spent = (self._forwards, self._gradients, self._moved() - before)
        forwards, gradients, moved = map(sum, zip(*runtime.gather(spent), strict=True))
        self._share_buffers()
        candidate = self._network if self._average is None else self._average.module
        measured: dict[str, float] = {
            "epoch": epoch + 1,
            "learning_rate": learning_rate,
            "loss": loss,
            "forwards_per_image": forwards / len(self._training),
            "gradients_per_image": gradients / len(self._training),
        }
        if self._adversarial:
            measured["moved"] = moved / (self._updates_in_epoch * recipe.batch_size)
        measured["validation_accuracy"] = accuracy(candidate, self._validation, recipe.batch_size)
        criterion = measured["validation_accuracy"]
        if recipe.robust_validation is not None:
            criterion = robust_accuracy(candidate, self._validation, recipe.robust_validation)
            measured["robust_accuracy"] = criterion
        measured["seconds"] = round(time.perf_counter() - started, 2)
        of_last_objective = epoch + 1 >= max(self._objectives)
        if of_last_objective and runtime.gather(criterion)[0] > state["best"]:
            state["best"] = criterion
            weights = candidate.state_dict()
            state["kept"] = {name: value.to("cpu", copy=True) for name, value in weights.items()}
            self._write(candidate, "best", weights_file(self._out, recipe))
        self._write(candidate, "last", self._out / f"{recipe.name}-last.safetensors")
        state["epoch"] = epoch + 1
        state["log"] = [*state["log"], measured]
        checkpoints.save(fabric, self._out, state)
        self._tell_tensorboard(measured)
        on_progress(epoch + 1, recipe.epochs, measured)

    def _write(self, network: nn.Module, which: str, file: Path) -> None:
        if not self._fabric.is_global_zero:
            return
        try:
            save_weights(network, self._recipe.architecture, file)
        except OSError as error:
            logger.warning("the %s weights were not written (%s)", which, error)

    def _share_buffers(self) -> None:
        """Makes what is validated the same on all ranks.

        Statistics of batch norms are those of the first rank, as in the wrapper's forward passes.
        """
        networks = [self._network, *([] if self._average is None else [self._average])]
        for buffer in (buffer for network in networks for buffer in network.buffers()):
            runtime.take_from_first_rank(buffer)

    def _updates(self, epoch: int, on_progress: Progress) -> float:
        """Updates the weights with each batch and gives the mean loss."""
        fabric, module, optimizer = self._fabric, self._module, self._optimizer
        module.train()
        first = max(first for first in self._objectives if first <= epoch + 1)
        objective, spec = self._objectives[first], self._recipe.objectives[first]
        losses: list[Tensor] = []
        last = self.state["log"][-1] if self.state["log"] else {}
        for batch in self._batches(epoch):
            if batch.images is not None:
                augment = _seeded(self._augment, batch.seeds)
                self._memory.turn_to(batch.positions, batch.images, augment)
            inputs, labels = batch.inputs.to(fabric.device), batch.labels.to(fabric.device)
            optimizer.zero_grad()
            # An attack on the network inside the wrappers shall have the precision of the update.
            with fabric.autocast():
                loss = _loss(objective, spec, module, inputs, labels)
            fabric.backward(loss)
            if not losses:
                self._check_gradients(spec)
            if self._recipe.largest_gradient is not None:
                fabric.clip_gradients(
                    module,
                    optimizer,
                    max_norm=self._recipe.largest_gradient,
                    error_if_nonfinite=False,  # which the loss tells, or the scaler mends
                )
            optimizer.step()
            self._schedule.step()
            if self._average is not None:
                self._average.update_parameters(self._network)
            losses.append(loss.detach())
            if len(losses) < self._updates_in_epoch:  # a whole one is told of with what it gave
                done = epoch + len(losses) / self._updates_in_epoch
                on_progress(done, self._recipe.epochs, last)
        self._memory.share(partial(fabric.all_reduce, reduce_op="sum"))
        reduced: Any = fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean")
        mean = float(reduced)
        if not math.isfinite(mean):
            raise ValueError(
                f"the loss became {mean} in epoch {epoch + 1}: lower the learning rate, or look "
                f"for what is not finite in {self._training.name}."
            )
        # Of an update after the last loss, which would make the best weights worthless.
        if not all(bool(weight.isfinite().all()) for weight in self._network.parameters()):
            raise ValueError(
                f"the weights became infinite or NaN at the end of epoch {epoch + 1}: lower the "
                "learning rate."
            )
        return mean

    def _check_gradients(self, spec: str) -> None:
        weights = [(n, w) for n, w in self._network.named_parameters() if w.requires_grad]
        idle = [name for name, weight in weights if weight.grad is None]
        if len(idle) == len(weights):
            raise ValueError(
                f"objective: {spec} gave a loss that does not depend on the weights of the network."
            )
        if idle and self._fabric.world_size > 1:  # for whose gradients the ranks would wait
            raise ValueError(
                f"of the network {', '.join(idle[:5])} takes no part in the loss, which several "
                "ranks cannot train: leave it out, freeze it, or use one rank."
            )

    def _batches(self, epoch: int) -> Iterator[TrainingBatch]:
        return batches(
            self._training,
            self._augment,
            batch_size=self._recipe.batch_size,
            seed=self._recipe.seed + 7_919 * (epoch + 1),
            rank=self._fabric.global_rank,
            world_size=self._fabric.world_size,
            workers=self._workers,
            keep_images=self._warm,
        )

    def _tell_tensorboard(self, measured: dict[str, float]) -> None:
        if not self._fabric.is_global_zero or importlib.util.find_spec("tensorboard") is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        epoch = int(measured["epoch"])
        try:
            if self._writer is None:
                self._writer = SummaryWriter(str(self._out / "tensorboard"), purge_step=epoch)
            for name, value in measured.items():
                self._writer.add_scalar(name, value, epoch)
            self._writer.flush()
        except OSError as error:
            logger.warning("TensorBoard's log was not written (%s)", error)

    def close(self) -> None:
        """Ends what is written to as the run goes on."""
        if self._writer is not None:
            with suppress(OSError):  # of which it was warned
                self._writer.close()


def _loss(
    objective: Objective, spec: str, module: nn.Module, inputs: Tensor, labels: Tensor
) -> Tensor:
    """Gives the loss, or says what an objective of the user did instead."""
    try:
        loss: object = objective(module, inputs, labels)
    except Exception as error:  # whatever a user's objective raises
        if is_out_of_memory(error):
            raise
        raise ValueError(f"objective: {spec} raised {in_short(error)}") from error
    if not isinstance(loss, Tensor):
        raise ValueError(f"the objective gave a {type(loss).__name__}; expected a scalar tensor.")
    if loss.ndim > 0 or not loss.is_floating_point() or not loss.requires_grad:
        without = "" if loss.requires_grad else " without a gradient"
        raise ValueError(
            f"the objective gave {loss.dtype} of shape {list(loss.shape)}{without}; expected a "
            "scalar floating point loss that depends on the weights."
        )
    return loss


def _seeded(augment: Augmentation, seeds: Sequence[int]) -> Callable[[Tensor], Tensor]:
    return lambda images: augment(images, seeds)


def weights_file(out: Path, recipe: Recipe) -> Path:
    """Gives where the weights of the best epoch are."""
    return out / f"{recipe.name}.safetensors"
