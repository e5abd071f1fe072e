"""The training loop: in each epoch updates, validation, checkpoints and logs."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from minnorm.models import save_weights
from minnorm.runtime import ranks
from minnorm.training import checkpoints
from minnorm.training.adversarial_batch import perturb_and_loss
from minnorm.training.attack_passes import AttackPasses
from minnorm.training.augmentation import load_augmentation
from minnorm.training.learning_checks import diverges, learns_nothing
from minnorm.training.loading import TrainingBatch, batches
from minnorm.training.loss_checks import check_finite, check_gradients, check_loss, naming_objective
from minnorm.training.objectives.contract import Adversarial, Objective
from minnorm.training.optimization import make_optimizer, make_schedule
from minnorm.training.preflight import Preflight
from minnorm.training.recipe import Recipe
from minnorm.training.run_folder import last_weights_file, weights_file
from minnorm.training.selection import merit
from minnorm.training.tensorboard_log import TensorBoardLog
from minnorm.training.validation import accuracies, robust_accuracy
from minnorm.training.warm_starts import WarmStarts

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

TrainingProgress = Callable[[float, int, dict[str, float]], None]
"""Called after each update and each epoch, with the number of epochs done (a fraction within an
epoch), the number of all epochs, and the measurements of the last complete epoch, if any."""


class TrainingRun:
    """The state of a run, which each epoch changes.

    Args:
        fabric: Devices, ranks and precision.
        recipe: The recipe.
        folder: The folder of the run.
        checked: The network, the objectives and the data.
        workers: Processes, of each rank, that read and augment images ahead.

    Attributes:
        state: The content of a checkpoint.
    """

    def __init__(
        self, fabric: "Fabric", recipe: Recipe, folder: Path, checked: Preflight, *, workers: int
    ) -> None:
        self._fabric, self._recipe, self._folder, self._workers = fabric, recipe, folder, workers
        self._network, self._objectives = checked.network, checked.objectives
        self._training, self._validation = checked.training, checked.validation
        self._classes = checked.classes
        mask = checked.training.mask
        self._mask = None if mask is None else mask.to(fabric.device)
        self._warned: set[str] = set()
        adversarial = [one for one in self._objectives.values() if isinstance(one, Adversarial)]
        self._is_adversarial = bool(adversarial)
        self._augment = load_augmentation(recipe.augmentation)
        self._warm_starts = WarmStarts(len(self._training), self._augment)
        self._needs_images = any(objective.warm_start for objective in adversarial)
        network = self._network
        optimizer = make_optimizer(recipe, network)
        self._updates_in_epoch = len(self._training) // recipe.batch_size
        self._schedule = make_schedule(recipe, optimizer, self._updates_in_epoch)
        self._average: AveragedModel | None = None
        if recipe.ema is not None:  # before the hooks of `AttackPasses`, which a copy must not have
            averaging = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(network, multi_avg_fn=averaging, use_buffers=True)
        others = (other for objective in adversarial for other in objective.others)
        self._passes = AttackPasses([network, *others])
        self._perturbed = torch.zeros((), dtype=torch.int64, device=fabric.device)
        if recipe.compile:  # the network inside the wrappers, so that attacks are faster too
            setattr(network, "forward", torch.compile(network.forward))  # noqa: B010 - for the types
        self._module, self._optimizer = fabric.setup(network, optimizer)
        self._tensorboard = TensorBoardLog(folder / "tensorboard")
        self.state: dict[str, Any] = {
            "network": network,
            "optimizer": optimizer,
            "schedule": self._schedule,
            "precision": fabric.strategy.precision,  # it may hold a scale of the loss
            "epoch": 0,
            "kept": {},
            "kept_epoch": 0,  # counted from 1; none yet
            "log": [],
            "sessions": [],
            "fingerprints": checked.fingerprints,
        }
        if self._average is not None:
            self.state["average"] = self._average.to(fabric.device)
        if self._needs_images:
            self.state["warm_starts"] = self._warm_starts

    def epoch(self, epoch: int, on_progress: TrainingProgress) -> None:
        """Train one epoch, validate, and write the weights, the checkpoint and the logs.

        Args:
            epoch: Its number, counted from 0.
            on_progress: Called after each update, and at the end.

        Raises:
            InputError: If the loss or the weights are not finite, or an objective is not as its
                contract says.
        """
        fabric, recipe, state = self._fabric, self._recipe, self.state
        started = time.perf_counter()
        # The random numbers of an epoch follow from its number: a repeated epoch is identical.
        seed = recipe.seed + 1_000_003 * (epoch + 1) + fabric.global_rank
        fabric.seed_everything(seed % 2**32, verbose=False)
        learning_rate = float(self._schedule.get_last_lr()[0])
        loss = self._train(epoch, on_progress)
        measured: dict[str, float] = {
            "epoch": epoch + 1,
            "learning_rate": learning_rate,
            "loss": loss,
            **self._attack_costs(),
        }
        self._share_buffers()
        candidate = self._network if self._average is None else self._average.module
        measured["validation_accuracy"], constant = accuracies(
            candidate, self._validation, recipe.batch_size
        )
        if recipe.robust_validation is not None:
            measured["robust_accuracy"] = robust_accuracy(
                candidate, self._validation, recipe.robust_validation
            )
        measured["seconds"] = round(time.perf_counter() - started, 2)
        measured = ranks.gather(measured)[0]  # rounding may differ: the first rank decides
        state["log"] = [*state["log"], measured]
        self._warn(constant)
        self._keep_weights(candidate)
        state["epoch"] = epoch + 1
        checkpoints.save(fabric, self._folder, state)
        if fabric.is_global_zero:
            self._tensorboard.write(measured)
        on_progress(epoch + 1, recipe.epochs, measured)

    def close(self) -> None:
        """Close the files that stay open during the run."""
        self._tensorboard.close()

    def _train(self, epoch: int, on_progress: TrainingProgress) -> float:
        """Update the weights with each batch; return the mean loss."""
        fabric, module, optimizer = self._fabric, self._module, self._optimizer
        module.train()
        self._passes.reset()
        self._perturbed.zero_()
        start = self._start_of_objective(epoch + 1)
        objective, spec = self._objectives[start], self._recipe.objectives[start]
        losses: list[Tensor] = []
        last = self.state["log"][-1] if self.state["log"] else {}
        for batch in self._batches(epoch):
            optimizer.zero_grad()
            loss = self._loss(objective, spec, batch)
            fabric.backward(loss)
            if not losses:
                check_gradients(self._network, spec, fabric.world_size)
            if self._recipe.largest_gradient is not None:
                fabric.clip_gradients(
                    module,
                    optimizer,
                    max_norm=self._recipe.largest_gradient,
                    # The loss shows an infinite gradient, and the scaler of float16 skips it.
                    error_if_nonfinite=False,
                )
            optimizer.step()
            self._schedule.step()
            if self._average is not None:
                self._average.update_parameters(self._network)
            losses.append(loss.detach())
            if len(losses) < self._updates_in_epoch:  # the end of the epoch is reported later
                done = epoch + len(losses) / self._updates_in_epoch
                on_progress(done, self._recipe.epochs, last)
        self._warm_starts.share(partial(fabric.all_reduce, reduce_op="sum"))
        reduced: Any = fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean")
        mean = float(reduced)
        check_finite(mean, self._network.parameters(), epoch + 1, self._training.name)
        return mean

    def _loss(self, objective: Objective | Adversarial, spec: str, batch: TrainingBatch) -> Tensor:
        """Return the loss of a batch; remember and count the perturbed samples."""
        device = self._fabric.device
        inputs, labels = batch.inputs.to(device), batch.labels.to(device)
        if not isinstance(objective, Adversarial):
            with self._fabric.autocast(), naming_objective(spec):
                loss = objective(self._module, inputs, labels)
            return check_loss(loss)
        starts = self._warm_starts.starts(batch, inputs) if objective.warm_start else None
        # The attack calls the network inside the wrappers, without their autocast.
        with self._fabric.autocast(), naming_objective(spec):
            points, loss = perturb_and_loss(
                objective, self._module, inputs, labels, starts, mask=self._mask
            )
        if objective.warm_start:
            self._warm_starts.keep(batch, inputs, points)
        # This stays on the device, since reading a number would wait for it.
        self._perturbed += (points != inputs).flatten(1).any(1).sum()
        return check_loss(loss)

    def _batches(self, epoch: int) -> Iterator[TrainingBatch]:
        return batches(
            self._training,
            self._augment,
            batch_size=self._recipe.batch_size,
            seed=self._recipe.seed + 7_919 * (epoch + 1),
            rank=self._fabric.global_rank,
            world_size=self._fabric.world_size,
            workers=self._workers,
            keep_images=self._needs_images,
        )

    def _attack_costs(self) -> dict[str, float]:
        """Return the passes for each image, and the share of samples that attacks perturbed."""
        counts = (self._passes.forwards, self._passes.gradients, int(self._perturbed))
        forwards, gradients, perturbed = map(sum, zip(*ranks.gather(counts), strict=True))
        images = len(self._training)
        costs = {
            "forwards_per_image": forwards / images,
            "gradients_per_image": gradients / images,
        }
        if self._is_adversarial:
            costs["moved"] = perturbed / (self._updates_in_epoch * self._recipe.batch_size)
        return costs

    def _share_buffers(self) -> None:
        """Copy the buffers of the first rank, so that all ranks validate the same network.

        The wrapper does the same with the statistics of batch norms in each forward pass.
        """
        networks = [self._network, *([] if self._average is None else [self._average])]
        for buffer in (buffer for network in networks for buffer in network.buffers()):
            ranks.broadcast_from_first(buffer)

    def _warn(self, constant: float) -> None:
        """Warn, once, of signs that the network does not learn."""
        recipe, log = self._recipe, self.state["log"]
        measured, start = log[-1], self._start_of_objective(len(log))
        spec = recipe.objectives[start]
        signs = {
            "loss": diverges(log, spec=spec, start=start, classes=self._classes),
            "accuracy": learns_nothing(measured, constant=constant, data=recipe.validation),
        }
        if len(log) <= recipe.schedule.warmup:  # the learning rate is still small
            del signs["accuracy"]
        for sign, warning in signs.items():
            if warning and sign not in self._warned and self._fabric.is_global_zero:
                self._warned.add(sign)
                logger.warning("%s", warning)

    def _start_of_objective(self, epoch: int) -> int:
        """Return the epoch at which the objective of an epoch starts, both counted from 1."""
        return max(start for start in self._objectives if start <= epoch)

    def _keep_weights(self, candidate: nn.Module) -> None:
        """Write the weights, and keep them if they are the best of the last objective so far."""
        state, recipe, folder = self.state, self._recipe, self._folder
        log, kept = state["log"], state["kept_epoch"]
        of_last_objective = len(log) >= max(self._objectives)
        if of_last_objective and (not kept or merit(log[-1]) > merit(log[kept - 1])):
            state["kept_epoch"] = len(log)
            weights = candidate.state_dict()
            state["kept"] = {name: value.to("cpu", copy=True) for name, value in weights.items()}
            self._write_weights(candidate, "best", weights_file(folder, recipe))
        self._write_weights(candidate, "last", last_weights_file(folder, recipe))

    def _write_weights(self, network: nn.Module, which: str, file: Path) -> None:
        if not self._fabric.is_global_zero:
            return
        try:
            save_weights(network, self._recipe.architecture, file)
        except OSError as error:
            logger.warning("the %s weights were not written (%s)", which, error)
