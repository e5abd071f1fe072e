"""A small model that records what it is trained on, and all objectives with short settings."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.networks import Linear
from minnorm.training import Adversarial, Objective, load_objective
from minnorm.training.adversarial_batch import perturb_and_loss

FIXED = f"{__name__}:another"
"""The spec of `another`."""

DEFENSES = {
    "madry": "madry(epsilon=0.5)",
    "madry linf": "madry(epsilon=0.1, norm='linf')",
    "ddn": "ddn(max_norm=0.5, steps=20)",
    "closest": "closest(max_norm=0.5)",
    "closest linf": "closest(max_norm=0.1, attack=\"fmn(norm='linf', steps=30)\")",
}
"""Objectives that train on perturbed inputs alone."""

MIXED = {
    "fgsm": "fgsm(epsilon=0.1, weight=0.3)",
    "fgsm l2": "fgsm(epsilon=0.5, norm='l2', weight=0.3)",
    "ensemble": f"ensemble(models=['{FIXED}'], epsilon=0.1, weight=0.3)",
    "trades": "trades(epsilon=0.1)",
    "trades l2": "trades(epsilon=0.5, norm='l2')",
}
"""Objectives that train on the inputs too."""


def another() -> nn.Module:
    """Return a fixed network for an ensemble."""
    return Linear(20, 5, seed=7).eval()


class Watched(nn.Module):
    """Records the batches of the update, and whether attacks saw parameters with gradients."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.network = Linear(20, 5)
        self.dropout = nn.Dropout(dropout)
        self.frozen = nn.BatchNorm1d(20).eval()
        self.trained_on: list[Tensor] = []
        self.attacked_with_gradients = False

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.trained_on.append(inputs.detach().clone())
            inputs = self.dropout(self.frozen(inputs))
        else:
            self.attacked_with_gradients |= any(p.requires_grad for p in self.parameters())
            inputs = self.frozen(inputs)
        logits: Tensor = self.network(inputs)
        return logits


def problem(dropout: float = 0.0) -> tuple[Watched, Tensor, Tensor]:
    """Return a model in training mode, and inputs with the labels that it predicts."""
    model = Watched(dropout)
    inputs = torch.rand(12, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels = model.eval()(inputs).argmax(1)
    model.train()
    model.frozen.eval()
    model.attacked_with_gradients = False
    return model, inputs, labels


def loss_of(
    objective: Objective | Adversarial, model: nn.Module, inputs: Tensor, labels: Tensor
) -> Tensor:
    """Return the loss of an objective of either kind."""
    if isinstance(objective, Adversarial):
        return perturb_and_loss(objective, model, inputs, labels)[1]
    return objective(model, inputs, labels)


def points_of(
    objective: str | Objective | Adversarial,
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    starts: Tensor | None = None,
) -> Tensor:
    """Return the points that an adversarial objective trains on."""
    if isinstance(objective, str):
        objective = load_objective(objective)
    assert isinstance(objective, Adversarial)
    return perturb_and_loss(objective, model, inputs, labels, starts)[0]


def gradients_of(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the gradients of the cross-entropy of each sample, in evaluation mode."""
    variables = inputs.clone().requires_grad_()
    loss = cross_entropy(model.eval()(variables), labels, reduction="sum")
    (gradients,) = torch.autograd.grad(loss, variables)
    return gradients
