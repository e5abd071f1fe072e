"""The windows and patterns of Square: rectangles of images, and what is drawn in them.

Andriushchenko, Croce, Flammarion, Hein: "Square Attack: a query-efficient black-box adversarial
attack via random search", ECCV 2020, https://arxiv.org/abs/1912.00049.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import EllipsisType

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional

_HALVINGS = (200, 500, 1000, 2000, 4000, 6000, 8000)
"""The steps after which the share of the windows halves, of `_STEPS`. The paper also halves it
after 10 and 50 (section 5), and not after 500, which is from AutoAttack. Without these two, small
budgets find more."""

_STEPS = 10_000
"""The number of steps that `_HALVINGS` refer to."""

_FINE = 2**24
"""Random numbers of single precision are multiples of 1 / 2**24."""

_TILES = 5
"""The number of tiles along each side of the first pattern for L2."""


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, in pixels.

    Attributes:
        top, left: Its first row and column.
        height, width: Its size.
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def area(self) -> tuple[EllipsisType, slice, slice]:
        """The index that cuts the window out of images `[... h w]`."""
        rows = slice(self.top, self.top + self.height)
        return ..., rows, slice(self.left, self.left + self.width)

    def cut(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c k l"]:
        """Return the window of each image."""
        return images[self.area]

    def filled(
        self, images: Float[Tensor, "b c h w"], values: float | Float[Tensor, "..."]
    ) -> Float[Tensor, "b c h w"]:
        """Return the images with these values, which broadcast to the window, inside of it."""
        changed = images.clone()
        changed[self.area] = values
        return changed


@dataclass(frozen=True)
class Windows:
    """A rectangle of each image of a batch, in pixels, of the same size.

    Attributes:
        tops, lefts: Their first rows and columns.
        height, width: Their size.
    """

    tops: Int64[Tensor, "b"]
    lefts: Int64[Tensor, "b"]
    height: int
    width: int

    def cut(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c k l"]:
        """Return the windows of the images."""
        pixels = images.flatten(2).gather(2, self._positions(images))
        return pixels.view(*images.shape[:2], self.height, self.width)

    def filled(
        self, images: Float[Tensor, "b c h w"], values: float | Float[Tensor, "..."]
    ) -> Float[Tensor, "b c h w"]:
        """Return the images with these values, which broadcast to the windows, inside of them."""
        shape = (*images.shape[:2], self.height, self.width)
        pixels = torch.as_tensor(values).to(images).expand(shape).flatten(2)
        return images.flatten(2).scatter(2, self._positions(images), pixels).view_as(images)

    def _positions(self, images: Tensor) -> Int64[Tensor, "b c n"]:
        """Return the positions of the pixels in images that are flat."""
        device = images.device
        rows = self.tops.unsqueeze(1) + torch.arange(self.height, device=device)
        columns = self.lefts.unsqueeze(1) + torch.arange(self.width, device=device)
        positions = rows.unsqueeze(2) * images.shape[-1] + columns.unsqueeze(1)
        return positions.flatten(1).unsqueeze(1).expand(-1, images.shape[1], -1)


def picture(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return channels, height and width of a sample of any shape.

    The last two dimensions are the image, those before it the channels. A vector is an image of one
    row.
    """
    height, width = (1, 1, *shape)[-2:]
    return math.prod(shape[:-2]), height, width


def share_at(step: int, steps: int, first: float) -> float:
    """Return the share of the image that the window of a step covers.

    Args:
        step: The number of steps before it.
        steps: The number of steps of the whole search.
        first: The share of the first window.
    """
    scaled = step * _STEPS // steps
    halvings: int = sum(scaled > one for one in _HALVINGS)
    return math.ldexp(first, -halvings)


def sides(share: float, height: int, width: int, *, odd: bool = False) -> tuple[int, int]:
    """Return height and width of a window: a square, or as near to one as the image allows.

    Args:
        share: The share of the image that it covers.
        height: The height of the image.
        width: Its width.
        odd: Whether the sides are odd numbers, of at least 3 in an image with a side of 5 or more.
    """
    least = 3 if odd and max(height, width) >= 5 else 1
    area = share * height * width
    side = math.sqrt(area)
    if min(height, width) < side:  # it fills the short side of the image
        long = _rounded(area / min(height, width), least, odd=odd)
        tall = height > width
        return (min(long, height), width) if tall else (height, min(long, width))
    side = _rounded(side, least, odd=odd)
    return min(side, height), min(side, width)


def _rounded(side: float, least: int, *, odd: bool) -> int:
    whole = round(side)
    return max(whole + 1 - whole % 2 if odd else whole, least)


def place(size: tuple[int, int], image: tuple[int, int], draws: Sequence[float]) -> Window:
    """Return a window at a random place.

    Args:
        size: Height and width of the window.
        image: Height and width of the image.
        draws: Two numbers, uniformly distributed in 0..1.
    """
    top, left = (
        min(int(draw * (whole - part + 1)), whole - part)
        for draw, whole, part in zip(draws, image, size, strict=True)
    )
    return Window(top, left, *size)


def place_on(size: tuple[int, int], free: Bool[Tensor, "b h w"], draws: Sequence[float]) -> Windows:
    """Return windows at random places, each with a pixel that can change.

    Where all pixels can change, the places are those of `place`.

    Args:
        size: Height and width of the windows.
        free: Which pixels can change. An image without any gets the last place.
        draws: Two numbers in single precision, uniformly distributed in 0..1.
    """
    height, width = size
    sums = functional.pad(free.long().cumsum(1).cumsum(2), (1, 0, 1, 0))
    columns = sums[:, :, width:] - sums[:, :, :-width]
    usable = columns[:, height:] > columns[:, :-height]
    tops = _drawn(usable.sum(2), draws[0])
    rows = usable[torch.arange(len(usable), device=usable.device), tops]
    return Windows(tops, _drawn(rows, draws[1]), height, width)


def _drawn(weights: Tensor, draw: float) -> Int64[Tensor, "b"]:
    """Return a position in each row, as likely as its weight, a whole number, is large."""
    ends = weights.cumsum(1)
    chosen = int(draw * _FINE) * ends[:, -1:] // _FINE  # exact: all devices draw the same
    return (ends <= chosen).sum(1).clamp_max(weights.shape[1] - 1)


def bumps(height: int, width: int, draw: float) -> Float[Tensor, "h w"]:
    """Return two opposite bumps side by side, of norm 1: the pattern of a window for L2 (eq. 2).

    Args:
        height: The height of the window.
        width: Its width.
        draw: A number in 0..1: from 0.5 on, the bumps are beside each other, else one is above the
            other. A window of one row or column has one choice only.
    """
    return _bumps(height, width, beside=width > 1 and (draw >= 0.5 or height == 1))


@lru_cache(maxsize=64)  # the size of a window changes seldom
def _bumps(height: int, width: int, *, beside: bool) -> Float[Tensor, "h w"]:
    if height == width == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    if beside:
        parts = [_bump(height, width // 2), -_bump(height, width - width // 2)]
    else:
        parts = [_bump(height // 2, width), -_bump(height - height // 2, width)]
    pattern = torch.cat(parts, dim=1 if beside else 0)
    scaled: Tensor = pattern / torch.linalg.vector_norm(pattern)
    return scaled


def _bump(height: int, width: int) -> Float[Tensor, "h w"]:
    """Return a bump that falls from its center with the distance along the axes (eq. 2)."""
    middle, center = height // 2, width // 2
    down = (torch.arange(height) - middle).abs()
    across = (torch.arange(width) - center).abs()
    distances = torch.maximum(down[:, None], across[None, :])
    terms = 1 / torch.arange(1, max(middle, center) + 2).double().square()
    sums = terms.flip(0).cumsum(0).flip(0)
    pattern = sums[distances]
    scaled: Tensor = pattern / torch.linalg.vector_norm(pattern)
    return scaled


def tiles(channels: int, height: int, width: int, draws: Sequence[float]) -> Float[Tensor, "c h w"]:
    """Return the first pattern for L2: tiles of bumps of random orientation and sign.

    Args:
        channels: The number of channels of the image.
        height: The height of the image.
        width: Its width.
        draws: Numbers in 0..1, as many as `draws_of_tiles` says.
    """
    numbers = iter(draws)
    pattern = torch.zeros(channels, height, width, dtype=torch.float64)
    for window in _grid(height, width):
        tile = bumps(window.height, window.width, next(numbers))
        signs = torch.tensor([1.0 if next(numbers) < 0.5 else -1.0 for _ in range(channels)])
        pattern[window.area] = signs[:, None, None] * tile
    return pattern


def draws_of_tiles(channels: int, height: int, width: int) -> int:
    """Return the number of random numbers that `tiles` needs."""
    return len(_grid(height, width)) * (1 + channels)


def _grid(height: int, width: int) -> list[Window]:
    size = tuple(max(side // _TILES, 1) for side in (height, width))
    starts = []
    for whole, part in zip((height, width), size, strict=True):
        number = whole // part
        first = (whole - number * part) // 2
        starts.append([first + part * index for index in range(number)])
    return [Window(top, left, size[0], size[1]) for top in starts[0] for left in starts[1]]
