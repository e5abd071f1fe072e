"""Five defenses that do not hold, on the handwritten digits that the package ships.

Each part of a defense is as in its paper, on a network small enough to be trained in a second or
two. `docs/broken-defenses.md` attacks them, first without and then with knowledge of the defense.
"""

import io
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Generator, Tensor, nn
from torch.nn import functional

import minnorm
from minnorm.attacks import AttackResult, Model

TEST, TRAINING = "mnist-sample[:200]", "mnist-sample[200:]"
STEPS, BATCH, RATE = 300, 64, 0.003
SHIFT = 2  # the largest shift of a training image, in pixels
LEVELS = 10  # of the thermometer code
TEMPERATURE = 100.0  # of defensive distillation

Network = TypeVar("Network", bound=nn.Module)

Labeling = Callable[[Tensor, Tensor], Tensor]
"""Maps images and their labels to the targets of the training."""


def network(channels: int = 1) -> nn.Sequential:
    """Build a small network for images of 28 x 28 pixels in ten classes."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


def trained(
    build: Callable[[], Network],
    *,
    temperature: float = 1.0,
    rate: float = RATE,
    targets: Labeling = lambda _, labels: labels,
) -> Network:
    """Train a classifier on shifted images.

    Args:
        build: Builds it.
        temperature: What its logits are divided by, in training alone.
        rate: The learning rate.
        targets: What it learns; by default the labels.
    """
    images, labels = minnorm.load_data(TRAINING).batch(range(800))
    random = np.random.default_rng(0)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(STEPS):
        chosen = random.integers(0, len(images), BATCH)
        shift = tuple(random.integers(-SHIFT, SHIFT + 1, 2).tolist())
        shifted = images[chosen].roll(shift, (2, 3))
        logits = model(shifted) / temperature
        loss = functional.cross_entropy(logits, targets(shifted, labels[chosen]))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    model.eval()
    return model


class Thermometer(nn.Module):
    """The thermometer code: a channel for each level, 1 where a pixel is above that level."""

    thresholds: Tensor

    def __init__(self) -> None:
        super().__init__()
        levels = (torch.arange(LEVELS) + 0.5) / LEVELS
        self.register_buffer("thresholds", levels.view(1, LEVELS, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the code of each pixel, `[b levels 28 28]`."""
        code: Tensor = (images > self.thresholds).to(images)
        return code

    def smooth(self, images: Tensor) -> Tensor:
        """Return nearly the same code, from a function that has gradients."""
        code: Tensor = torch.sigmoid((images - self.thresholds) * LEVELS)
        return code


def thermometer() -> nn.Sequential:
    """Train a network on the thermometer code of its inputs."""
    return trained(lambda: nn.Sequential(Thermometer(), network(LEVELS)))


class BitDepth(nn.Module):
    """Round pixels to a few bits."""

    def __init__(self, bits: int = 3) -> None:
        super().__init__()
        self.largest = 2**bits - 1

    def forward(self, images: Tensor) -> Tensor:
        """Return the rounded images."""
        rounded: Tensor = (images * self.largest).round() / self.largest
        return rounded


class Jpeg(nn.Module):
    """Encode each image as a JPEG file, and decode it."""

    def __init__(self, quality: int = 50) -> None:
        super().__init__()
        self.quality = quality

    def forward(self, images: Tensor) -> Tensor:
        """Return what is left of the images."""
        pixels = (255 * images.detach()).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        decoded = np.stack([self._through_file(one) for one in pixels[:, 0]])
        return torch.from_numpy(decoded).unsqueeze(1).to(images) / 255

    def _through_file(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=self.quality)
        return np.array(Image.open(file))


class Noise(nn.Module):
    """Add normal noise to the images, other noise in each call."""

    def __init__(self, deviation: float = 0.2) -> None:
        super().__init__()
        self.deviation = deviation

    def forward(self, images: Tensor) -> Tensor:
        """Return the noisy images."""
        return images + self.deviation * torch.randn_like(images)


class RandomResize(nn.Module):
    """Shrink images to a random size, and put them at a random place on black."""

    def __init__(self, smallest: int = 22) -> None:
        super().__init__()
        self.smallest = smallest

    def forward(self, images: Tensor) -> Tensor:
        """Return images of the same size as before."""
        full = images.shape[-1]
        size = int(torch.randint(self.smallest, full + 1, ()))
        left, top = torch.randint(0, full - size + 1, (2,)).tolist()
        smaller = functional.interpolate(images, size=(size, size), mode="bilinear")
        margins = (left, full - size - left, top, full - size - top)
        padded: Tensor = functional.pad(smaller, margins)
        return padded


def distilled() -> nn.Sequential:
    """Train a network at a high temperature on the softened outputs of another one."""
    teacher = trained(network, temperature=TEMPERATURE, rate=0.01)

    def soft_labels(images: Tensor, _: Tensor) -> Tensor:
        with torch.no_grad():
            probabilities: Tensor = (teacher(images) / TEMPERATURE).softmax(1)
        return probabilities

    return trained(network, temperature=TEMPERATURE, rate=0.01, targets=soft_labels)


Service = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]
"""A function from images to probabilities or classes, as arrays."""


def service(model: nn.Module, *, classes: bool = False) -> Service:
    """Hide a classifier behind a function that returns probabilities, or classes alone."""

    def predict(images: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        with torch.no_grad():
            probabilities: Tensor = model(torch.from_numpy(images)).softmax(1)
        return (probabilities.argmax(1) if classes else probabilities).numpy()

    return predict


class Client(nn.Module):
    """A service as a model, in the obvious way, which loses the gradients."""

    def __init__(self, predict: Service) -> None:
        super().__init__()
        self.predict = predict

    def forward(self, images: Tensor) -> Tensor:
        """Return the probabilities of the classes; 1 for the class if the service returns that."""
        answers = torch.from_numpy(self.predict(images.detach().numpy()))
        return answers if answers.ndim == 2 else functional.one_hot(answers, 10).float()


def textbook_pgd(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int = 40,
    targeted: bool = False,
    bounds: tuple[float, float] = (0.0, 1.0),
    generator: Generator | None = None,  # noqa: ARG001 - every attack takes it
) -> AttackResult:
    """Climb the cross-entropy within an L2 ball, as most libraries do."""
    sign = -1 if targeted else 1
    points = inputs.clone()
    for _ in range(steps):
        points.requires_grad_()
        loss = functional.cross_entropy(model(points), labels, reduction="sum")
        (gradients,) = torch.autograd.grad(loss, points)
        lengths = gradients.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, 1, 1, 1)
        moves = points.detach() + sign * 2.5 * epsilon / steps * gradients / lengths - inputs
        moves = moves.renorm(2, 0, epsilon)
        points = (inputs + moves).clamp(*bounds)
    with torch.no_grad():
        success = (model(points).argmax(1) == labels) == targeted
    distances = (points - inputs).flatten(1).norm(dim=1)
    kept = success.view(-1, 1, 1, 1)
    return AttackResult(
        torch.where(kept, points, inputs), distances.where(success, torch.inf), success
    )
