"""The probe: models that cannot be evaluated are refused, doubtful ones have a warning."""

import pytest
import torch
from torch import Tensor, nn

from attacks.networks import problem
from evaluation.tiny_models import Centred
from minnorm.data import Data, as_data
from minnorm.errors import InputError
from minnorm.evaluation.probe import probe_model


def data(samples: int = 12) -> Data:
    inputs = torch.rand(samples, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return as_data((inputs, torch.zeros(samples, dtype=torch.int64)))


def test_a_probe_holds_the_first_samples_and_their_logits() -> None:
    model, inputs, labels = problem((5,), classes=3, batch=12)
    probe = probe_model(model, as_data((inputs, labels)), (0.0, 1.0))
    assert torch.equal(probe.inputs, inputs[:8])
    assert probe.classes == 3
    with torch.no_grad():
        assert list(probe.answers) == model(inputs[:8]).double().flatten().tolist()
    assert probe.warnings == ()


def test_answers_are_those_of_the_first_ten_classes_and_finite() -> None:
    def model(inputs: Tensor) -> Tensor:
        logits = torch.arange(12.0).expand(len(inputs), 12) + 0 * inputs.flatten(1)[:, :1]
        return logits.clone().index_fill_(1, torch.tensor(3), torch.nan)

    probe = probe_model(model, data(2), (0.0, 1.0))
    assert probe.classes == 12
    assert list(probe.answers) == 2 * [0.0, 1.0, 2.0, 0.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    assert not any("NaN" in warning for warning in probe.warnings)  # the whole run is counted


def test_fewer_samples_than_a_probe_takes_are_enough() -> None:
    assert len(probe_model(Centred().eval(), data(3), (0.0, 1.0)).inputs) == 3
    assert len(probe_model(Picky(8).eval(), data(1), (0.0, 1.0)).inputs) == 1  # nothing to compare


class Noisy(Centred):
    """Adds noise to its logits, as large as a share of the largest of them."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        logits = super().forward(inputs)
        return logits + (self.calls % 2) * self.share * logits.abs().amax()


class Mixed(Centred):
    """Subtracts from each logit the mean over the batch, in part."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, inputs: Tensor) -> Tensor:
        logits = super().forward(inputs)
        return logits - self.share * logits.mean(0)


class Picky(Centred):
    """Fails on a batch of the given size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, inputs: Tensor) -> Tensor:
        if len(inputs) == self.size:
            raise RuntimeError("another size was expected")
        return super().forward(inputs)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Dropout(), Centred()), "in training mode: call model.eval.. first"),
        (Noisy(0.1).eval(), "different logits for the same inputs each time"),
        (Mixed(1.0).eval(), "different logits for a sample when others are in its batch"),
        (Picky(1).eval(), "takes a batch of 8 but not of 1 .RuntimeError: another size was exp"),
        (Picky(8).eval(), r"cannot take inputs of shape \[8, 1, 28, 28\]"),
    ],
    ids=["training", "random", "batch", "static", "shape"],
)
def test_a_model_that_cannot_be_evaluated_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        probe_model(model, data(), (0.0, 1.0))


@pytest.mark.parametrize("kind", [Noisy, Mixed])
def test_differences_by_rounding_are_accepted(kind: type[Noisy] | type[Mixed]) -> None:
    probe_model(kind(0.009).eval(), data(), (0.0, 1.0))
    with pytest.raises(InputError, match="different logits"):
        probe_model(kind(0.05).eval(), data(), (0.0, 1.0))


def test_noise_is_measured_by_the_largest_logit_of_the_batch() -> None:
    probe_model(Noisy(0.0099).eval(), data(), (0.0, 1.0))
    with pytest.raises(InputError, match="the same inputs"):
        probe_model(Noisy(0.0103).eval(), data(), (0.0, 1.0))


def test_repeated_calls_are_compared_from_two_samples_on() -> None:
    probe_model(Noisy(0.1).eval(), data(1), (0.0, 1.0))
    with pytest.raises(InputError, match="the same inputs"):
        probe_model(Noisy(0.1).eval(), data(2), (0.0, 1.0))


def test_noise_of_small_logits_is_noticed() -> None:
    model = Noisy(0.05).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e-4)
    with pytest.raises(InputError, match="the same inputs"):
        probe_model(model, data(), (0.0, 1.0))


def test_reduced_precision_may_differ_more() -> None:
    probe_model(Noisy(0.1).eval().bfloat16(), data(), (0.0, 1.0))
    with pytest.raises(InputError, match="the same inputs"):
        probe_model(Noisy(0.2).eval().bfloat16(), data(), (0.0, 1.0))


def test_a_model_without_gradients_has_a_warning() -> None:
    model = Centred().eval()
    probe = probe_model(lambda inputs: model(inputs).detach(), data(), (0.0, 1.0))
    [warning] = probe.warnings
    assert "gradients with respect to its inputs are all zero" in warning


def test_probabilities_have_a_warning() -> None:
    [warning] = probe_model(
        nn.Sequential(Centred(), nn.Softmax(1)).eval(), data(), (0.0, 1.0)
    ).warnings
    assert "look like probabilities" in warning
