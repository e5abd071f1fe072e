"""The network of the example: your own takes its place."""

from torch import nn

from minnorm.models import Normalized


class Net(nn.Sequential):
    """A small network for color images of 32 x 32 pixels in three classes."""

    def __init__(self, width: int = 16) -> None:
        super().__init__(
            nn.Conv2d(3, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * 8 * 8, 3),
        )


def normalized(width: int = 16) -> nn.Module:
    """Return the network with the normalization that it was trained with."""
    return Normalized(Net(width), mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])
