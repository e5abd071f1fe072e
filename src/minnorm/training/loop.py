"""The one training loop: optimiser, schedule, precision, ranks, checkpoints, logging."""

import importlib.util
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from minnorm import runtime
from minnorm.acceleration import keep_freed_memory
from minnorm.data import Data, load_data
from minnorm.errors import in_short
from minnorm.files import LOCK, write_whole
from minnorm.models import Card, build, save_weights
from minnorm.models.load import lay_out
from minnorm.models.weights import file_sha256
from minnorm.training import checkpoints
from minnorm.training.augmentation import Augmentation, load_augmentation
from minnorm.training.intake import (
    check_augmentation,
    check_batch_size,
    check_fit,
    check_same_data,
    claim,
    make_network,
)
from minnorm.training.objectives import Adversarial, Objective, load_objective
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


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    resume: bool = False,
    trust: bool = False,
    on_progress: Progress | None = None,
) -> Card:
    """Trains a network by its recipe.

    In `out` it keeps `recipe.json`, `log.jsonl` (one line for each epoch), `last.ckpt` and
    `before.ckpt` (to go on from), the weights of the best epoch by validation,
    `<name>.safetensors`, and at the end the card, `<name>.json`: the two files that the zoo is made
    of. Where TensorBoard is installed, its log is in `tensorboard`. The global random generators of
    PyTorch, NumPy and Python are seeded.

    Args:
        recipe: What to do.
        out: The folder of the run; made if it is not there.
        resume: Whether a run that is in `out` goes on from its last whole epoch, as if it had never
            been interrupted; a new one begins where there is none.
        trust: Let the file of the initial network run the code that it holds.
        on_progress: Called as the run goes on.

    Returns:
        The card of the trained network.

    Raises:
        ValueError: If `out` holds the run of another recipe, or any run without `resume`, or
            another process is at work there; if the data does not fit, or changed since the run
            began; if the loss is not finite.
        FileNotFoundError: If data or the initial network are not there.
        OSError: If the folder or the weights cannot be written.
        ImportError: If Lightning Fabric is not installed.
    """
    out = Path(out)
    keep_freed_memory()
    fabric = _fabric(recipe)
    session = runtime.session(fabric.device)
    training, validation = load_data(recipe.data), load_data(recipe.validation)
    test = load_data(recipe.test)
    check_batch_size(recipe, training, fabric.world_size)
    fabric.seed_everything(recipe.seed, verbose=False)
    checkpoint = checkpoints.newest(fabric, out) if resume else None
    network = make_network(recipe, trust=trust, whole=checkpoint is None)
    parts = {recipe.data: training, recipe.validation: validation, recipe.test: test}
    for data in parts.values():
        check_fit(network, data)
    check_augmentation(recipe, network, training)
    lock = FileLock(out / LOCK, timeout=0)
    try:
        # What is refused before leaves no folder behind.
        with runtime.same_on_all_ranks():
            if fabric.is_global_zero:
                claim(out, lock, recipe, resume=resume)
        run = _Run(
            fabric, recipe, out, network=lay_out(network), training=training, validation=validation
        )
        run.state["fingerprints"] = {spec: data.fingerprint for spec, data in parts.items()}
        if checkpoint is not None:
            check_same_data(checkpoint, run.state["fingerprints"])
            checkpoints.restore(fabric, out, checkpoint, run.state)
        if run.state["epoch"] < recipe.epochs:
            run.state["sessions"] = [*run.state["sessions"], session]
        with closing(run):
            for epoch in range(run.state["epoch"], recipe.epochs):
                run.epoch(epoch, on_progress or (lambda *_: None))
        return _finish(fabric, recipe, out, run.state, validation=validation, test=test)
    finally:
        lock.release()


class _Run:
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
        training: Data,
        validation: Data,
    ) -> None:
        self._fabric, self._recipe, self._out = fabric, recipe, out
        self._network, self._training, self._validation = network, training, validation
        self._objectives = {
            first: load_objective(spec) for first, spec in recipe.objectives.items()
        }
        adversarial = [one for one in self._objectives.values() if isinstance(one, Adversarial)]
        warm = [one for one in adversarial if one.warm_start]
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
        for asked in (network, *(other for one in adversarial for other in one.others)):
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
        if warm:
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

    def epoch(self, epoch: int, on_progress: Progress) -> None:
        """Goes through the data once, validates, and keeps what is to be kept."""
        fabric, recipe, state = self._fabric, self._recipe, self.state
        started = time.perf_counter()
        # Each epoch's randomness follows from its number: one that is repeated is the same again.
        seed = recipe.seed + 1_000_003 * (epoch + 1) + fabric.global_rank
        fabric.seed_everything(seed % 2**32, verbose=False)
        learning_rate = float(self._schedule.get_last_lr()[0])
        self._forwards = self._gradients = 0
        loss = self._updates(epoch, on_progress)
        forwards, gradients = map(
            sum, zip(*runtime.gather((self._forwards, self._gradients)), strict=True)
        )
        self._share_buffers()
        candidate = self._network if self._average is None else self._average.module
        measured: dict[str, float] = {
            "epoch": epoch + 1,
            "learning_rate": learning_rate,
            "loss": loss,
            "forwards_per_image": forwards / len(self._training),
            "gradients_per_image": gradients / len(self._training),
            "validation_accuracy": accuracy(candidate, self._validation),
        }
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
            if fabric.is_global_zero:
                try:
                    save_weights(candidate, recipe.architecture, _weights_file(self._out, recipe))
                except OSError as error:
                    logger.warning("the best weights were not written (%s)", error)
        state["epoch"] = epoch + 1
        state["log"] = [*state["log"], measured]
        checkpoints.save(fabric, self._out, state)
        self._tell_tensorboard(measured)
        on_progress(epoch + 1, recipe.epochs, measured)

    def _share_buffers(self) -> None:
        """Makes what is validated the same on all ranks.

        Statistics of batch norms are those of the first rank, as in the wrapper's forward passes.
        """
        networks = [self._network, *([] if self._average is None else [self._average])]
        for buffer in (buffer for network in networks for buffer in network.buffers()):
            buffer.copy_(self._fabric.broadcast(buffer))

    def _updates(self, epoch: int, on_progress: Progress) -> float:
        """Updates the weights with each batch and gives the mean loss."""
        fabric, module, optimizer = self._fabric, self._module, self._optimizer
        module.train()
        objective = self._objectives[max(first for first in self._objectives if first <= epoch + 1)]
        losses = []
        last = self.state["log"][-1] if self.state["log"] else {}
        for batch, images, labels, augment in _batches(self._training, self._recipe, epoch, fabric):
            self._memory.turn_to(batch, images, augment)
            inputs = augment(images).to(fabric.device)
            optimizer.zero_grad()
            # An attack on the network inside the wrappers shall have the precision of the update.
            with fabric.autocast():
                loss = _loss(objective, module, inputs, labels)
            fabric.backward(loss)
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
        return mean

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


def _loss(objective: Objective, module: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Gives the loss, or says what an objective of the user did instead."""
    try:
        loss: object = objective(module, inputs, labels)
    except ValueError:
        raise
    except Exception as error:  # whatever a user's objective raises
        raise ValueError(f"the objective raised {in_short(error)}") from error
    if not isinstance(loss, Tensor):
        raise ValueError(f"the objective gave a {type(loss).__name__}; expected a scalar tensor.")
    if loss.ndim > 0 or not loss.is_floating_point() or not loss.requires_grad:
        without = "" if loss.requires_grad else " without a gradient"
        raise ValueError(
            f"the objective gave {loss.dtype} of shape {list(loss.shape)}{without}; expected a "
            "scalar floating point loss that depends on the weights."
        )
    return loss


def _fabric(recipe: Recipe) -> "Fabric":
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ImportError(
            "training needs Lightning Fabric: pip install 'minnorm[training]'"
        ) from error
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    fabric = Fabric(
        accelerator="auto",
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        precision=recipe.precision,
    )
    fabric.launch()
    if recipe.precision == "16-mixed" and fabric.device.type == "cpu":
        raise ValueError("precision: 16-mixed needs a GPU; on the CPU there is bf16-mixed.")
    return fabric


def _batches(data: Data, recipe: Recipe, epoch: int, fabric: "Fabric") -> Iterator[Any]:
    generator = torch.Generator().manual_seed(recipe.seed + 7_919 * (epoch + 1))
    order = torch.randperm(len(data), generator=generator)
    seeds = torch.randint(2**62, (len(data),), generator=generator)
    augment = load_augmentation(recipe.augmentation)
    for start in range(0, len(data) - recipe.batch_size + 1, recipe.batch_size):
        batch = order[start : start + recipe.batch_size][fabric.global_rank :: fabric.world_size]
        images, labels = data.batch(batch.tolist())
        yield batch, images, labels.to(fabric.device), _seeded(augment, seeds[batch].tolist())


def _seeded(augment: Augmentation, seeds: list[int]) -> Callable[[Tensor], Tensor]:
    return lambda images: augment(images, seeds)


def _finish(
    fabric: "Fabric",
    recipe: Recipe,
    out: Path,
    state: dict[str, Any],
    *,
    validation: Data,
    test: Data,
) -> Card:
    best = build(recipe.architecture)
    best.load_state_dict(state["kept"])
    weights = _weights_file(out, recipe)
    with runtime.same_on_all_ranks():
        if fabric.is_global_zero:
            save_weights(best, recipe.architecture, weights)
    best.to(fabric.device)
    card = Card(
        name=recipe.name,
        architecture=recipe.architecture,
        data=recipe.data,
        recipe=recipe.model_dump(mode="json"),
        accuracy={
            recipe.validation: accuracy(best, validation),
            recipe.test: accuracy(best, test),
        },
        robust_accuracy=_robust_accuracy(recipe, best, test),
        forwards_per_image=sum(line["forwards_per_image"] for line in state["log"]),
        gradients_per_image=sum(line["gradients_per_image"] for line in state["log"]),
        sha256=file_sha256(weights),
        fingerprints=state["fingerprints"],
        sessions=state["sessions"],
    )
    if fabric.is_global_zero:
        checkpoints.write_log(out, state["log"])  # it may be ahead of the last checkpoint
        text = card.model_dump_json(indent=2) + "\n"
        write_whole(out / f"{recipe.name}.json", lambda path: path.write_text(text))
    fabric.barrier()
    return card


def _weights_file(out: Path, recipe: Recipe) -> Path:
    return out / f"{recipe.name}.safetensors"


def _robust_accuracy(recipe: Recipe, network: nn.Module, test: Data) -> dict[str, float]:
    attacked = recipe.robust_validation
    if attacked is None:
        return {}
    images = min(attacked.images, len(test))
    name = f"{recipe.test}, first {images}: {attacked.attack} within {attacked.epsilon:g}"
    return {name: robust_accuracy(network, test, attacked)}
