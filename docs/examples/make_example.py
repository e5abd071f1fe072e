"""Make a small trained model, `weights.pt`, and a folder of images, `photos`.

For readers who have neither at hand. Takes about 4 seconds: python docs/examples/make_example.py
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn.functional import cross_entropy

from minnorm.models import Normalized

sys.path.insert(0, str(Path(__file__).parent))
from mymodule import Net  # type: ignore[import-not-found]

CLASSES = ("circle", "square", "triangle")
SIZE = 32
TRAINING, PHOTOS = 600, 30  # images of each class
STEPS = 400


def picture(kind: str, random: np.random.Generator) -> Image.Image:
    """Draw a shape of a random color, size and place on a noisy background."""
    background = random.normal(random.uniform(0, 100, 3), 12, (SIZE, SIZE, 3))
    image = Image.fromarray(background.clip(0, 255).astype(np.uint8))
    x, y, radius = *random.uniform(12, 20, 2), random.uniform(7, 10)
    box = (x - radius, y - radius, x + radius, y + radius)
    corners = [(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)]
    color = tuple(random.integers(130, 256, 3).tolist())
    draw = ImageDraw.Draw(image)
    if kind == "circle":
        draw.ellipse(box, fill=color)
    elif kind == "square":
        draw.rectangle(box, fill=color)
    else:
        draw.polygon(corners, fill=color)
    return image


def train(images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Train the network of `mymodule.py` on images with values in 0..1."""
    torch.manual_seed(0)
    net = Net()
    model = Normalized(net, mean=0.5, std=0.25)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(STEPS):
        chosen = torch.randint(len(images), (64,))
        loss = cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    weights: dict[str, torch.Tensor] = net.state_dict()
    return weights


def main() -> None:
    """Write the photos and the weights into the current folder."""
    random = np.random.default_rng(0)
    pictures = [(picture(kind, random), kind) for kind in CLASSES for _ in range(TRAINING)]
    images = torch.stack([torch.tensor(np.array(image)) for image, _ in pictures])
    labels = torch.tensor([CLASSES.index(kind) for _, kind in pictures])
    torch.save(train(images.permute(0, 3, 1, 2) / 255, labels), "weights.pt")
    for kind in CLASSES:
        folder = Path("photos") / kind
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(PHOTOS):
            picture(kind, random).save(folder / f"{number:02d}.png")
    module = Path(__file__).with_name("mymodule.py")
    if not Path("mymodule.py").exists():
        shutil.copy(module, "mymodule.py")
    print("made mymodule.py, weights.pt and photos")  # noqa: T201 - a script for the shell


if __name__ == "__main__":
    main()
