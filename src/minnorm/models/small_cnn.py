"""The two small networks of the paper's MNIST and CIFAR-10 experiments (Carlini & Wagner's).

Section 4 of the paper: four 3x3 convolutions without padding, 2x2 max-pooling after the second and
the fourth, and three fully connected layers. ReLU follows every layer but the last, and dropout
follows the first fully connected layer.
"""

from collections import OrderedDict

from torch import Tensor, nn


class SmallCNN(nn.Module):
    """A network of four convolutions and three fully connected layers.

    It maps inputs `[b channels size size]` to logits `[b classes]`.

    Args:
        channels: Number of channels of the images.
        size: Height and width of the images in pixels.
        widths: Number of channels of the first two convolutions, and of the last two.
        hidden: Width of the two hidden fully connected layers.
        classes: Number of classes.
        dropout: Probability of dropping a unit of the first hidden layer in training.

    Attributes:
        input_shape: The shape of one image.
    """

    def __init__(
        self,
        *,
        channels: int,
        size: int,
        widths: tuple[int, int],
        hidden: int,
        classes: int = 10,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.input_shape = (channels, size, size)
        first, second = widths
        # Each pair of unpadded convolutions removes 4 pixels, then pooling halves the size.
        side = ((size - 4) // 2 - 4) // 2
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, first, 3),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(first, first, 3),
                relu2=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv3=nn.Conv2d(first, second, 3),
                relu3=nn.ReLU(),
                conv4=nn.Conv2d(second, second, 3),
                relu4=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
            )
        )
        self.classifier = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=nn.Linear(second * side * side, hidden),
                relu1=nn.ReLU(),
                dropout=nn.Dropout(dropout),
                fc2=nn.Linear(hidden, hidden),
                relu2=nn.ReLU(),
                fc3=nn.Linear(hidden, classes),
            )
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.classifier(self.features(inputs))
        return logits


def mnist_cnn(dropout: float = 0.5) -> SmallCNN:
    """Build the paper's MNIST network: `[b 1 28 28] -> [b 10]`, 312,202 parameters."""
    return SmallCNN(channels=1, size=28, widths=(32, 64), hidden=200, dropout=dropout)


def cifar10_cnn(dropout: float = 0.5) -> SmallCNN:
    """Build the paper's small CIFAR-10 network: `[b 3 32 32] -> [b 10]`, 1,147,978 parameters."""
    return SmallCNN(channels=3, size=32, widths=(64, 128), hidden=256, dropout=dropout)
