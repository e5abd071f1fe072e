"""Results published in the paper (Rony et al. 2019), for comparison with ours."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A row of table 1: untargeted attacks, quantized to 256 levels.

    Attributes:
        success: Successful attacks in percent.
        mean: Mean L2 norm of the successful attacks.
        median: Median L2 norm; a failure counts as the distance to the gray image.
        gradients: Gradient computations, on average over the batch.
        seconds: Time for 1,000 images in one batch on a GTX 1080 Ti.
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
"""DDN on MNIST, by the number of steps."""
