"""Images and weights in channels-last layout."""

import torch
from torch import Tensor, nn

from acceleration.small_networks import example
from minnorm.acceleration.layout import channels_last


def test_the_module_gets_images_and_weights_with_channels_last() -> None:
    seen: list[bool] = []

    class Seeing(nn.Conv2d):
        def forward(self, inputs: Tensor) -> Tensor:
            for tensor in (inputs, self.weight):
                seen.append(tensor.is_contiguous(memory_format=torch.channels_last))
            return super().forward(inputs)

    torch.manual_seed(0)
    layer = Seeing(3, 4, 3)
    model = nn.Sequential(layer, nn.Flatten())
    expected = model(example())
    found = channels_last(model)(example())
    assert seen == [False, False, True, True]
    torch.testing.assert_close(found, expected)
