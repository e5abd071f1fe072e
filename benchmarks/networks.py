"""The networks and images of the benchmarks; some come with other packages.

`networks:efficientnet_lite0` and `networks:photos` are specs in this folder.
"""

from torch import nn

from minnorm.paper.imagenet import efficientnet_lite, photos

__all__ = ["NETWORKS", "efficientnet_lite0", "photos"]

NETWORKS = {
    "mnist-cnn": ("zoo:mnist-cnn", "mnist[:100]"),
    "mnist-cnn-ddn": ("zoo:mnist-cnn-ddn", "mnist[:100]"),
    "cifar10-cnn": ("zoo:cifar10-cnn", "cifar10[:60]"),
    "cifar10-cnn-madry-l2": ("zoo:cifar10-cnn-madry-l2", "cifar10[:60]"),
    "efficientnet-lite0": ("networks:efficientnet_lite0", "networks:photos"),
}
"""The networks that attacks are measured on, and their images, by name."""


def efficientnet_lite0() -> nn.Module:
    """Return EfficientNet-Lite0 with its ImageNet weights."""
    return efficientnet_lite(0)
