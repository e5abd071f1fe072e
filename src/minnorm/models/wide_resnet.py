"""Wide residual networks (Zagoruyko & Komodakis, BMVC 2016), the paper's large CIFAR-10 network.

Three groups of blocks, with strides 1, 2, 2 and widths 16k, 32k, 64k. Each is a pre-activation
residual block of two 3x3 convolutions with dropout between them, `B(3,3)` in their paper.
"""

import math

from torch import Tensor, nn
from torch.nn.functional import relu

from minnorm.errors import InputError


class WideBlock(nn.Module):
    """A pre-activation residual block: batch norm, ReLU and a 3x3 convolution, twice."""

    def __init__(self, channels: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut = (
            nn.Identity()
            if channels == width and stride == 1
            else nn.Conv2d(channels, width, 1, stride=stride, bias=False)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the features after the block."""
        activated = relu(self.norm1(inputs))
        # If the shape changes, the shortcut starts after the first activation.
        kept = inputs if isinstance(self.shortcut, nn.Identity) else self.shortcut(activated)
        hidden = self.conv1(activated)
        hidden = self.conv2(self.dropout(relu(self.norm2(hidden))))
        result: Tensor = kept + hidden
        return result


class WideResNet(nn.Module):
    """A wide residual network for small images.

    It maps inputs `[b channels h w]` to logits `[b classes]`.

    Args:
        depth: Number of convolutions on the longest path, `6n + 4`.
        width: The widening factor `k`.
        classes: Number of classes.
        dropout: Probability of dropout inside the blocks in training (0.3 in the paper).
        channels: Number of channels of the images.

    Attributes:
        input_shape: The shape of one image of CIFAR-10; the network takes other sizes too.

    Raises:
        InputError: If the depth is not `6n + 4` with n at least 1, or the width is below 1.
    """

    def __init__(
        self,
        depth: int = 28,
        width: int = 10,
        classes: int = 10,
        dropout: float = 0.3,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6 or width < 1:
            raise InputError(
                f"depth={depth}, width={width}: expected a depth of 6n + 4 (10, 16, 22, 28, 34, "
                "40, ...) and a width of at least 1."
            )
        self.input_shape = (channels, 32, 32)
        blocks = (depth - 4) // 6
        widths = [16, 16 * width, 32 * width, 64 * width]
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.groups = nn.Sequential(
            *(
                nn.Sequential(
                    WideBlock(before, after, stride, dropout),
                    *(WideBlock(after, after, 1, dropout) for _ in range(blocks - 1)),
                )
                for before, after, stride in zip(widths, widths[1:], (1, 2, 2), strict=False)
            )
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        self.head = nn.Linear(widths[-1], classes)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels * math.prod(module.kernel_size)
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        features = relu(self.norm(self.groups(self.stem(inputs))))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def wide_resnet(
    depth: int = 28, width: int = 10, classes: int = 10, dropout: float = 0.3
) -> WideResNet:
    """Build the Wide ResNet for CIFAR-10; the defaults are the paper's WRN-28-10."""
    return WideResNet(depth=depth, width=width, classes=classes, dropout=dropout)
