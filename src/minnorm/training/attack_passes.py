"""The cost of attacks in training: how many samples they pass forward and backward."""

from collections.abc import Iterable

from torch import Tensor, nn


class AttackPasses:
    """Counts of what attacks compute: the passes of networks in evaluation mode.

    Args:
        networks: The networks that attacks differentiate.

    Attributes:
        forwards: Samples that were passed forward, since the last `reset`.
        gradients: Samples for which a gradient was computed.
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        self.forwards = self.gradients = 0
        for network in networks:
            network.register_forward_hook(self._count)

    def reset(self) -> None:
        """Start to count from 0."""
        self.forwards = self.gradients = 0

    def _count(self, network: nn.Module, _: object, logits: Tensor) -> None:
        if network.training:
            return
        self.forwards += len(logits)
        if logits.requires_grad:
            logits.register_hook(self._count_gradients)  # type: ignore[no-untyped-call]

    def _count_gradients(self, gradients: Tensor) -> None:
        self.gradients += len(gradients)
