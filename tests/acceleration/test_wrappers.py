"""Accelerated models with steps that cannot be traced, and averages over draws."""

import pytest
import torch
from torch import Tensor, nn

from acceleration.small_networks import batch_norms, example
from minnorm.acceleration import accelerate
from minnorm.acceleration.agreement import input_gradients
from minnorm.models import averaged, straight_through
from models.random_models import Noise


def layers() -> list[nn.Module]:
    torch.manual_seed(0)
    channels = example().shape[1]
    norm = nn.BatchNorm2d(4)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return [nn.Conv2d(channels, 4, 3), norm, nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(3)]


def rounded(batch: Tensor) -> Tensor:
    return torch.from_numpy((8 * batch.numpy()).round()) / 8  # cannot be traced


def models() -> dict[str, nn.Module]:
    """Return models of which each layer can be accelerated, after a first call."""
    found = {
        "a step": nn.Sequential(straight_through(rounded), *layers()),
        "an average": averaged(nn.Sequential(Noise(0.1), *layers()).eval(), draws=3),
        "an average of a step": averaged(
            nn.Sequential(Noise(0.1), straight_through(rounded), *layers()).eval(), draws=3
        ),
    }
    for model in found.values():
        model.eval()(example())
    return found


@pytest.mark.parametrize("name", models())
@pytest.mark.parametrize("words", ["plain", "folded", "folded+narrow", "channels-last", "bfloat16"])
def test_techniques_work_with_wrappers(name: str, words: str) -> None:
    model, inputs = models()[name], example()
    accelerated = accelerate(model, inputs, words)
    assert accelerated.used == words
    with torch.no_grad():
        torch.testing.assert_close(accelerated(inputs), model(inputs), rtol=0, atol=1e-5)
    if words == "folded":
        assert isinstance(accelerated.exact, nn.Module)
        assert batch_norms(accelerated.exact) == 0
    if "channels-last" not in words:
        expected = input_gradients(model, inputs)
        assert expected.any()
        torch.testing.assert_close(input_gradients(accelerated, inputs), expected)
