"""Figures that the paper published, to be put beside ours (Rony et al. 2019)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A row of table 1: untargeted attacks, quantised to 256 levels.

    Attributes:
        success: Share of successful attacks in per cent.
        mean: Mean L2 norm over the successes.
        median: Median L2 norm, failures at the gray image.
        gradients: Gradient computations, the average over the batch.
        seconds: For 1,000 images in one batch on a GTX 1080 Ti.
    """

    success: float
    mean: float
    median: float
    gradients: int
    seconds: float


TABLE_1_MNIST_DDN: dict[int, Published] = {
    100: Published(success=100.0, mean=1.4563, median=1.4506, gradients=100, seconds=1.5),
    300: Published(success=100.0, mean=1.4357, median=1.4386, gradients=300, seconds=4.5),
    1000: Published(success=100.0, mean=1.4240, median=1.4342, gradients=1000, seconds=14.9),
}
"""DDN on MNIST by the number of steps."""
