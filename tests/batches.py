"""Random batches, and boxes around them, for tests of geometry."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from minnorm.boxes import Bounds
from minnorm.geometry import Norm

ALL_NORMS: tuple[Norm, ...] = ("l0", "l1", "l2", "linf")
BALL_NORMS = st.sampled_from(["l2", "linf"])
SHAPES = st.sampled_from([(), (1,), (7,), (2, 3), (1, 4, 4), (2, 3, 2, 2)])


@st.composite
def batches(
    draw: st.DrawFn, dtype: torch.dtype = torch.float64, exponents: tuple[int, int] = (-3, 3)
) -> Tensor:
    """Draw a batch [b *d] of 0 to 4 samples, some of their entries zero, of any magnitude."""
    shape = (draw(st.integers(0, 4)), *draw(SHAPES))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    zeros = torch.rand(shape, generator=generator) < draw(st.sampled_from([0.0, 0.3]))
    scaled = values.masked_fill(zeros, 0) * 10.0 ** draw(st.integers(*exponents))
    return scaled.to(dtype)


BOXES = st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.1, 0.9), (-2.1, 2.6)])


@st.composite
def boxed(draw: st.DrawFn) -> tuple[Tensor, Bounds]:
    """Draw a batch [b *d] in float32 and the bounds in which it lies."""
    low, high = draw(BOXES)
    shape = (draw(st.integers(0, 4)), *draw(SHAPES))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    inputs = torch.rand(shape, generator=generator) * 1.2 - 0.1
    return (low + (high - low) * inputs).clamp(low, high), (low, high)


LEVELS = st.sampled_from([2, 3, 16, 256])
