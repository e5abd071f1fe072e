"""What an objective is, and what those that attack the model in training have in common."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from minnorm import runtime
from minnorm.attacks import checks
from minnorm.training.objectives.memory import Memory


class Objective(Protocol):
    """A training loss; its hyper-parameters are those of the function that made it."""

    def __call__(
        self, model: nn.Module, inputs: Float[Tensor, "b *d"], labels: Int64[Tensor, "b"], /
    ) -> Float[Tensor, ""]:
        """Gives the mean loss of a batch; the model is in training mode, inputs are in 0..1."""
        ...


Perturb = Callable[..., Float[Tensor, "b *d"]]
"""`(model, inputs, labels, generator) -> what the model is trained on instead of the inputs`; with
a warm start also `starts=`, where that was the last time."""


Loss = Callable[
    [nn.Module, Float[Tensor, "b *d"], Float[Tensor, "b *d"], Int64[Tensor, "b"]],
    Float[Tensor, ""],
]
"""`(model, inputs, points, labels) -> scalar loss`, once the points are made."""


Criterion = Callable[[Float[Tensor, "b c"], Int64[Tensor, "b"]], Float[Tensor, ""]]
"""`(logits, labels) -> scalar loss`, the `J` of the paper."""


def smoothed(label_smoothing: float) -> Criterion:
    """Gives the mean cross-entropy against labels a share of which is spread over all classes.

    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: "Rethinking the Inception Architecture for Computer
    Vision", CVPR 2016, https://arxiv.org/abs/1512.00567, section 7.

    Args:
        label_smoothing: The share, from 0 to below 1.

    Raises:
        ValueError: If it is not.
    """
    checks.check_number("label_smoothing", label_smoothing, 0, 1, inclusive=True)
    return partial(cross_entropy, label_smoothing=label_smoothing)


def on_points(label_smoothing: float) -> Loss:
    """Gives the mean cross-entropy on the points alone, `J(x~, y, theta)` (eq. 7, 9)."""
    criterion = smoothed(label_smoothing)
    return lambda model, inputs, points, labels: criterion(model(points), labels)  # noqa: ARG005 - as every loss


def mixed(weight: float, label_smoothing: float) -> Loss:
    """Gives `weight * J(x, y, theta) + (1 - weight) * J(x~, y, theta)` (eq. 6)."""
    criterion = smoothed(label_smoothing)

    def loss(model: nn.Module, inputs: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        logits = in_one_pass(model, inputs, points)
        clean, moved = (criterion(part, labels) for part in logits)
        return weight * clean + (1 - weight) * moved

    return loss


def in_one_pass(
    model: nn.Module, inputs: Float[Tensor, "b *d"], points: Float[Tensor, "b *d"]
) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b c"]]:
    """Gives the logits of both, from one batch: batch norms see both, and ranks wait once."""
    logits: Tensor = model(torch.cat([inputs, points]))
    return logits[: len(inputs)], logits[len(inputs) :]


class Adversarial:
    """The objective that makes adversarial samples and trains on them.

    They are made for the model in evaluation mode with frozen parameters, since that is what is
    attacked in the end; the loss is that of the model in training mode. What is random in making
    them follows from the global generator, as dropout does; of several ranks, from the first one's.

    Args:
        perturb: Makes the samples.
        loss: What is trained.
        warm_start: Whether `perturb` is given the points of the last epoch as `starts`. The
            training loop gives the `memory` that has them, to the objective itself and not to one
            inside another one.
        others: Other networks that `perturb` asks, whose gradients count as the model's do.

    Attributes:
        warm_start: As given.
        others: As given.
        memory: What is remembered from one epoch to the next; none to begin with.
        moved: How many samples of all that it saw were moved at all, a scalar tensor.
    """

    def __init__(
        self,
        perturb: Perturb,
        loss: Loss,
        *,
        warm_start: bool = False,
        others: Sequence[nn.Module] = (),
    ) -> None:
        if not isinstance(warm_start, bool):
            raise ValueError(f"warm_start={warm_start!r}: expected True or False.")
        if not all(isinstance(other, nn.Module) for other in others):
            raise ValueError(f"others={others!r}: expected networks, as load_model gives them.")
        self._perturb, self._loss = perturb, loss
        self.warm_start, self.others = warm_start, tuple(others)
        self.memory: Memory | None = None
        self.moved = torch.zeros((), dtype=torch.int64)

    def __call__(
        self, model: nn.Module, inputs: Float[Tensor, "b *d"], labels: Int64[Tensor, "b"], /
    ) -> Float[Tensor, ""]:
        """Gives the mean loss of a batch.

        Raises:
            ValueError: If it has a warm start, but no memory.
        """
        if self.warm_start and self.memory is None:
            raise ValueError(
                "warm_start=True: nothing is remembered, since this objective is inside of another "
                "one, or not called by minnorm.training.train. Leave warm_start out."
            )
        seed = runtime.gather(int(torch.randint(2**62, ())))[0]
        generator = Generator(inputs.device).manual_seed(seed)
        with under_attack(model) as target:
            warm = {} if self.memory is None else {"starts": self.memory.starts(inputs)}
            points = self._perturb(target, inputs, labels, generator, **warm)
        if self.memory is not None:
            self.memory.keep(inputs, points)
        # On the inputs' device, since a number would have to be waited for.
        self.moved = self.moved.to(inputs.device) + (points != inputs).flatten(1).any(1).sum()
        return self._loss(model, inputs, points, labels)


def noise(inputs: Float[Tensor, "b *d"], generator: Generator) -> Float[Tensor, "b *d"]:
    """Gives standard normal noise for this rank's part of a batch, in the inputs' shape and dtype.

    A sample's is the same on any number of ranks, each of which has every so many-th sample. The
    generator of an objective is the same on all of them.
    """
    ranks = runtime.world_size()
    shape = (ranks * len(inputs), *inputs.shape[1:])
    drawn = torch.randn(shape, generator=generator, device=generator.device)
    return drawn[runtime.rank() :: ranks].to(inputs)


@contextmanager
def under_attack(model: nn.Module) -> Iterator[nn.Module]:
    """Gives the model without the wrappers of the ranks, in evaluation mode, parameters frozen.

    Afterwards all is as it was. No rank waits for another one in between, and autocast does not
    keep low-precision copies of frozen parameters, which would have no gradient in the update.
    """
    target: Any = model
    while _is_wrapper(target):
        target = target.module
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with in_evaluation_mode(model):
        try:
            for parameter in trainable:
                parameter.requires_grad_(False)
            yield target
        finally:
            for parameter in trainable:
                parameter.requires_grad_(True)


def _is_wrapper(module: nn.Module) -> bool:
    """Tells if it is PyTorch's of the ranks, or one of Fabric, which need not be installed."""
    of_fabric = type(module).__module__.startswith("lightning_fabric.")
    return of_fabric or isinstance(module, DistributedDataParallel)


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Puts all parts of a model in evaluation mode; afterwards each is in the mode it was in."""
    modes = {part: part.training for part in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
