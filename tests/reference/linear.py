"""The closest adversarials of a linear classifier inside a box, in closed form."""

import torch
from torch import Tensor


def distance_to_halfspace(
    x: Tensor,
    w: Tensor,
    b: float,
    low: float | Tensor,
    high: float | Tensor,
    *,
    norm: str = "l2",
) -> float:
    """Return the least norm of d with w.(x + d) + b <= 0 and low <= x + d <= high.

    The optimum is clip(x - t w), or clip(x - t sign(w)) for Linf, for the least t >= 0 that
    satisfies the constraint (KKT), found by bisection on t. Infinite when no point of the box
    satisfies it.
    """
    low, high = (torch.as_tensor(end, dtype=x.dtype, device=x.device) for end in (low, high))
    farthest = torch.where(w > 0, low, high)
    if float(w @ farthest + b) > 0:
        return float("inf")

    def moved(t: float) -> Tensor:
        return (x - t * (w if norm == "l2" else w.sign())).maximum(low).minimum(high)

    least, most = 0.0, 1.0
    while float(w @ moved(most) + b) > 0:
        most *= 2
    for _ in range(80):  # beyond the precision of float64
        middle = (least + most) / 2
        least, most = (middle, most) if float(w @ moved(middle) + b) > 0 else (least, middle)
    return float((moved(most) - x).norm(p=2 if norm == "l2" else torch.inf))


def optimal_distance(
    weight: Tensor,
    bias: Tensor,
    x: Tensor,
    y: int,
    *,
    targeted: bool,
    low: float | Tensor,
    high: float | Tensor,
    norm: str = "l2",
) -> float:
    """Return the distance from x to the nearest point of another class, or of class y if targeted.

    For a targeted attack on more than two classes this is a lower bound: the target class has to
    win against each other class, and the bound is the farthest of these constraints alone.
    """
    distances = [
        distance_to_halfspace(
            x,
            *(
                (weight[j] - weight[y], float(bias[j] - bias[y]))
                if targeted
                else (weight[y] - weight[j], float(bias[y] - bias[j]))
            ),
            low,
            high,
            norm=norm,
        )
        for j in range(len(bias))
        if j != y
    ]
    return max(distances) if targeted else min(distances)


def optimal_distances(
    weight: Tensor, bias: Tensor, inputs: Tensor, labels: Tensor, *, targeted: bool = False,
    norm: str = "l2",
) -> Tensor:  # fmt: skip
    """Return the optimal distance of each sample of a batch in the bounds 0 and 1."""
    weight, bias = weight.detach(), bias.detach()
    return torch.tensor(
        [
            optimal_distance(
                weight, bias, x.flatten(), int(y), targeted=targeted, low=0.0, high=1.0, norm=norm
            )
            for x, y in zip(inputs, labels, strict=True)
        ],
        dtype=torch.float64,
    )
