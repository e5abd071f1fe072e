"""Small models and data for specs such as `evaluation.tiny_models:linear`, in any process."""

from typing import NoReturn

import torch
from torch import Tensor, nn

from minnorm.data import Data, as_data, load_data
from minnorm.models import predict_only

SEED = 111
"""A seed whose network is better than chance on the first images of `mnist-sample`."""


class Centered(nn.Module):
    """A linear classifier of MNIST images; its boundaries meet in the middle of the box."""

    def __init__(self, features: int = 784, classes: int = 10, seed: int = SEED) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(classes, features, generator=generator)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(-weight.sum(1) / 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1) @ self.weight.T + self.bias


class Says(nn.Module):
    """A network whose output is a function of linear logits."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.logits = Centered()

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.logits(inputs)
        if self.kind == "one number":
            return logits[:, 0]
        if self.kind == "one class":
            return logits[:, :1]
        if self.kind == "probabilities":
            return logits.softmax(1)
        if self.kind == "whole numbers":
            return logits.round().long()
        if self.kind == "tuple":
            return logits, logits  # type: ignore[return-value]
        assert inputs.shape[1:] == (3, 224, 224), "Input image size doesn't match the model"
        return logits


def linear(seed: int = SEED) -> nn.Module:
    return Centered(seed=seed)


def decisions() -> nn.Module:
    """Return a classifier of which nothing but the class is known."""
    model = Centered()
    return predict_only(lambda inputs: model(inputs).argmax(1), "classes", 10, arrays=False)


def says(kind: str) -> nn.Module:
    return Says(kind)


def dropout() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))


def no_module() -> str:
    return "weights"


def raises() -> NoReturn:
    raise RuntimeError("no weights today")


def interrupted() -> NoReturn:
    raise KeyboardInterrupt


def one_bad() -> Data:
    """Return 16 images, of which number 13 holds a NaN."""
    images, labels = load_data("mnist-sample[:16]").batch(range(16))
    images[13] = torch.nan
    return as_data((images, labels), "one bad")


class Drawn:
    """A data set of random images, each drawn when it is read."""

    def __init__(self, images: int) -> None:
        self.images = images

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int, /) -> tuple[Tensor, int]:
        generator = torch.Generator().manual_seed(index)
        return torch.rand(1, 28, 28, generator=generator), index % 10


def many(images: int) -> Drawn:
    return Drawn(images)
