"""Models in evaluation mode for a while."""

import pytest
from lightning_fabric import Fabric
from torch import Tensor, nn

from minnorm.training.evaluation_mode import in_evaluation_mode, under_attack


class WithAHead(nn.Module):
    """A user's network with a part of the name that wrappers give to what they wrap."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout().eval())
        self.head = nn.Linear(3, 2)
        self.head.bias.requires_grad_(False)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.module(inputs))
        return logits


def modes(network: nn.Module) -> list[bool]:
    return [part.training for part in network.modules()]


def frozen(network: nn.Module) -> list[bool]:
    return [not parameter.requires_grad for parameter in network.parameters()]


def test_each_part_returns_to_its_mode() -> None:
    network = WithAHead()
    before = modes(network)
    assert set(before) == {True, False}
    with in_evaluation_mode(network):
        assert not any(modes(network))
    assert modes(network) == before
    with pytest.raises(KeyError), in_evaluation_mode(network):
        raise KeyError
    assert modes(network) == before


def test_a_network_with_a_part_called_module_is_attacked_as_a_whole() -> None:
    network = WithAHead()
    before = frozen(network)
    with under_attack(network) as target:
        assert target is network
        assert not any(modes(network))
        assert all(frozen(network))
    assert frozen(network) == before == [False, False, False, True]


def test_wrappers_of_fabric_are_removed(fabric: Fabric) -> None:
    network = WithAHead()
    wrapped = fabric.setup_module(network)
    with under_attack(wrapped) as target:
        assert target is network
        assert not any(modes(wrapped))
