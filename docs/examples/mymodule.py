"""The network of the example: your own takes its place."""

from torch import nn


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
