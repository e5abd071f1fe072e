"""Accuracy and robust accuracy during training."""

import pytest
import torch
from torch import Tensor, nn

from attacks.networks import problem
from minnorm.attacks import ddn
from minnorm.data import from_arrays
from minnorm.data.dataset import drawn
from minnorm.training import RobustValidation, accuracy, robust_accuracy
from minnorm.training.validation import accuracies


class Counts(nn.Module):
    """Predicts the class that the input holds; wrong in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.frozen = nn.BatchNorm1d(1).eval()

    def forward(self, inputs: Tensor) -> Tensor:
        classes = torch.arange(10) + (1 if self.training else 0)
        return -(inputs - self.weight * classes).abs()


def test_accuracy_is_the_share_of_correct_predictions_in_evaluation_mode() -> None:
    inputs = torch.arange(8, dtype=torch.float32)[:, None]
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 0, 0])
    data = from_arrays("x", inputs, labels)
    for batch_size in (1, 3, 8, 100):
        assert accuracy(Counts(), data, batch_size) == 6 / 8
    assert accuracy(Counts(), data[6:]) == 0


@pytest.mark.parametrize("training", [False, True])
def test_accuracy_restores_the_mode_of_every_part(training: bool) -> None:
    model = Counts().train(training)
    model.frozen.eval()
    accuracy(model, from_arrays("x", torch.zeros(2, 1), torch.tensor([0, 1])))
    assert model.training == training
    assert not model.frozen.training


def test_accuracy_restores_the_mode_when_the_model_raises() -> None:
    model = Counts().train()
    with pytest.raises(RuntimeError):
        accuracy(model, from_arrays("x", torch.zeros(2, 3), torch.tensor([0, 1])))
    assert model.training


def test_accuracy_takes_models_without_parameters() -> None:
    data = from_arrays("x", torch.eye(3), torch.tensor([0, 1, 0]))
    assert accuracy(nn.Identity(), data) == pytest.approx(2 / 3)


def test_robust_accuracy_is_the_share_beyond_the_radius() -> None:
    model, inputs, labels = problem((20,), batch=60)
    wrong = labels.clone()
    wrong[:6] = (wrong[:6] + 1) % 5
    reached = ddn(model, inputs, wrong, steps=30).distances
    assert (reached[:6] == 0).all()
    data = from_arrays("x", inputs, wrong)
    shares = []
    between = float(reached.sort().values[48:50].mean())  # no sample is at this radius
    for epsilon in (1e-6, between, float(reached.max()) + 1e-6):
        validation = RobustValidation(attack="ddn(steps=30)", epsilon=epsilon, images=60)
        share = robust_accuracy(model, data, validation, batch_size=25)
        assert share == pytest.approx(float((reached > epsilon).double().mean()))
        shares.append(share)
    assert shares[0] == 0.9 > shares[1] > shares[2] == 0


class Broken(nn.Module):
    """A network that returns NaN where the first value is large, and predicts class 0 elsewhere."""

    def forward(self, inputs: Tensor) -> Tensor:
        logits = torch.stack([inputs.sum(1) + 10, inputs.sum(1), inputs.sum(1)], dim=1)
        return logits.where(inputs[:, :1] < 0.5, torch.nan)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_logits_of_nan_are_neither_correct_nor_robust() -> None:
    inputs = torch.tensor([[0.1, 0.0], [0.2, 0.0], [0.9, 0.0], [1.0, 0.0]])
    data = from_arrays("x", inputs, torch.zeros(4, dtype=torch.int64))
    assert accuracy(Broken(), data) == 0.5
    for attack in ("ddn(steps=5)", "normal_pursuit(budget=10)"):
        validation = RobustValidation(attack=attack, epsilon=0.1)
        assert robust_accuracy(Broken(), data, validation) == 0.5


class Brightness(nn.Module):
    """Predicts class 1 for a bright input; the decision boundary is at 0.5."""

    def forward(self, inputs: Tensor) -> Tensor:
        score = inputs.flatten(1).mean(1)
        return torch.stack([0.5 - score, score - 0.5], dim=1)


def test_robust_accuracy_is_measured_on_samples_drawn_from_all_classes() -> None:
    # Sorted by class, as a folder of images is: each class has another distance to the boundary.
    inputs = torch.cat([torch.full((500, 1), value) for value in (0.4, 0.9)])
    labels = torch.arange(2).repeat_interleave(500)
    data = from_arrays("sorted", inputs, labels)
    validation = RobustValidation(attack="normal_pursuit(budget=20)", epsilon=0.2, images=100)
    share = robust_accuracy(Brightness(), data, validation)
    assert share == sum(position >= 500 for position in drawn(1000, 100)) / 100
    assert 0.35 < share < 0.65
    assert robust_accuracy(Brightness(), data, validation, batch_size=7) == share
    everything = RobustValidation(attack="normal_pursuit(budget=20)", epsilon=0.2, images=5000)
    assert robust_accuracy(Brightness(), data, everything) == 0.5


def test_the_accuracy_of_the_best_constant_prediction_is_counted() -> None:
    inputs = torch.arange(8, dtype=torch.float32)[:, None]
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 0, 0])
    for batch_size in (3, 100):
        found = accuracies(Counts(), from_arrays("x", inputs, labels), batch_size)
        assert found == (6 / 8, 3 / 8)
