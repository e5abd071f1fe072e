"""The steps of attacks in the plane, recorded from real runs."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from minnorm import schedules
from minnorm.attacks import AttackResult, Model

_LAST_SHARE = 0.01
"""The last step size of DDN, relative to the first one."""


class Recorder:
    """A model that records the points at which it is evaluated.

    Attributes:
        model: The model.
        points: The points, in the order of the calls.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.points: list[Float[Tensor, "2"]] = []

    def __call__(self, inputs: Float[Tensor, "b 2"]) -> Float[Tensor, "b c"]:
        """Return the logits of the model."""
        self.points += inputs.detach().clone().unbind()
        return self.model(inputs)


@dataclass(frozen=True)
class Walk:
    """The points at which an attack has evaluated the model, and what it has found.

    Attributes:
        origin: The input.
        label: Its class.
        points: All points, in order.
        adversarial: Whether each is adversarial.
        found: The adversarial that the attack returns.
        distance: Its distance.
    """

    origin: Float[Tensor, "2"]
    label: int
    points: Float[Tensor, "n 2"]
    adversarial: tuple[bool, ...]
    found: Float[Tensor, "2"]
    distance: float


@dataclass(frozen=True)
class Step:
    """A step of DDN.

    Attributes:
        number: Its number k, from 1.
        start: The point before it, of number k - 1.
        adversarial: Whether that point is adversarial.
        gradient: The move along the normalized gradient.
        radii: The radii of the sphere before and after.
        end: The point after it.
    """

    number: int
    start: Float[Tensor, "2"]
    adversarial: bool
    gradient: Float[Tensor, "2"]
    radii: tuple[float, float]
    end: Float[Tensor, "2"]


def record(
    attack: Callable[..., AttackResult],
    model: Model,
    origin: Float[Tensor, "2"],
    bounds: tuple[float, float],
) -> Walk:
    """Run an attack on one point, and return where it went.

    Args:
        attack: The attack.
        model: The classifier.
        origin: The point; its class is the predicted one.
        bounds: The lowest and the highest coordinate.
    """
    label = int(model(origin[None]).argmax())
    recorder = Recorder(model)
    result = attack(recorder, origin[None], torch.tensor([label]), bounds=bounds)
    points = torch.stack(recorder.points)
    adversarial = (model(points).argmax(1) != label).tolist()
    return Walk(
        origin=origin,
        label=label,
        points=points,
        adversarial=tuple(adversarial),
        found=result.adversarials[0],
        distance=float(result.distances[0]),
    )


def ddn_steps(
    walk: Walk, model: Model, *, initial_norm: float, gamma: float, step_size: float
) -> tuple[Step, ...]:
    """Return the steps between the recorded points of DDN.

    The points are those of the run. The gradients are computed again at these points, and the radii
    follow from whether they are adversarial, as in algorithm 1.

    Args:
        walk: The points.
        model: The classifier.
        initial_norm: The first radius.
        gamma: The factor by which it changes.
        step_size: The length of the first step.
    """
    count = len(walk.points) - 1
    rates = schedules.cosine(step_size, _LAST_SHARE * step_size, count)
    with torch.enable_grad():
        points = walk.points.clone().requires_grad_()
        loss = cross_entropy(model(points), torch.full((count + 1,), walk.label), reduction="sum")
        (gradients,) = torch.autograd.grad(loss, points)
    steps, radius = [], initial_norm
    for place, rate in enumerate(rates):
        after = radius * (1 - gamma if walk.adversarial[place] else 1 + gamma)
        steps.append(
            Step(
                number=place + 1,
                start=walk.points[place],
                adversarial=walk.adversarial[place],
                gradient=rate * gradients[place] / gradients[place].norm(),
                radii=(radius, after),
                end=walk.points[place + 1],
            )
        )
        radius = after
    return tuple(steps)
