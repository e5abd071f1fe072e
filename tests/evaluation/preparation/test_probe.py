"""The probe: models that cannot be evaluated are refused, doubtful ones have a warning."""

import warnings
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from attacks.networks import problem
from evaluation.tiny_models import Centered
from minnorm.attacks import Model
from minnorm.attacks.engine.inset import LOST_GRADIENTS
from minnorm.data import Data, as_data
from minnorm.errors import InputError
from minnorm.evaluation.preparation.probe import probe_model
from minnorm.evaluation.running.restrictions import Restrictions

UNIT = Restrictions((0.0, 1.0))


def data(samples: int = 12) -> Data:
    inputs = torch.rand(samples, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return as_data((inputs, torch.zeros(samples, dtype=torch.int64)))


def test_a_probe_holds_the_first_samples_and_their_logits() -> None:
    model, inputs, labels = problem((5,), classes=3, batch=12)
    probe = probe_model(model, as_data((inputs, labels)), UNIT)
    assert torch.equal(probe.inputs, inputs[:8])
    assert probe.classes == 3
    with torch.no_grad():
        assert list(probe.answers) == model(inputs[:8]).double().flatten().tolist()
    assert probe.doubts == ()


def test_answers_are_those_of_the_first_ten_classes_and_finite() -> None:
    def model(inputs: Tensor) -> Tensor:
        logits = torch.arange(12.0).expand(len(inputs), 12) + 0 * inputs.flatten(1)[:, :1]
        return logits.clone().index_fill_(1, torch.tensor(3), torch.nan)

    probe = probe_model(model, data(2), UNIT)
    assert probe.classes == 12
    assert list(probe.answers) == 2 * [0.0, 1.0, 2.0, 0.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    assert not any(doubt.kind == "nan" for doubt in probe.doubts)  # the whole run is counted


def test_fewer_samples_than_a_probe_takes_are_enough() -> None:
    assert len(probe_model(Centered().eval(), data(3), UNIT).inputs) == 3
    assert len(probe_model(Picky(8).eval(), data(1), UNIT).inputs) == 1  # nothing to compare


class Noisy(Centered):
    """Adds noise to its logits, as large as a share of the largest of them."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        logits = super().forward(inputs)
        return logits + (self.calls % 2) * self.share * logits.abs().amax()


class Mixed(Centered):
    """Subtracts from each logit the mean over the batch, in part."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, inputs: Tensor) -> Tensor:
        logits = super().forward(inputs)
        return logits - self.share * logits.mean(0)


class Picky(Centered):
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
        (nn.Sequential(nn.Dropout(), Centered()), "in training mode: call model.eval.. first"),
        (Noisy(0.1).eval(), "different logits for the same inputs each time"),
        (Mixed(1.0).eval(), "different logits for a sample when others are in its batch"),
        (Picky(1).eval(), "takes a batch of 8 but not of 1 .RuntimeError: another size was exp"),
        (Picky(8).eval(), r"failed on inputs of shape \[8, 1, 28, 28\]"),
    ],
    ids=["training", "random", "batch", "static", "shape"],
)
def test_a_model_that_cannot_be_evaluated_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        probe_model(model, data(), UNIT)


@pytest.mark.parametrize(
    ("kind", "accepted", "refused"), [(Noisy, 9e-6, 2e-5), (Mixed, 0.009, 0.05)]
)
def test_differences_by_rounding_are_accepted(
    kind: type[Noisy] | type[Mixed], accepted: float, refused: float
) -> None:
    probe_model(kind(accepted).eval(), data(), UNIT)
    with pytest.raises(InputError, match="different logits"):
        probe_model(kind(refused).eval(), data(), UNIT)


@pytest.mark.parametrize("count", [1, 2])
def test_noise_is_noticed_on_few_samples(count: int) -> None:
    with pytest.raises(InputError, match="the same inputs"):
        probe_model(Noisy(0.02).eval(), data(count), UNIT)


def test_the_advice_for_a_randomized_model_fits_its_mode() -> None:
    model = Noisy(0.02).eval()
    with pytest.raises(InputError, match="it draws random numbers in evaluation mode too"):
        probe_model(model, data(), UNIT)
    with pytest.raises(InputError, match=r"it is in training mode \(dropout\) or draws random"):
        probe_model(partial(model), data(), UNIT)


class BatchStatistics(Centered):
    """Normalizes by the statistics of the batch in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(10, track_running_stats=False)

    def forward(self, inputs: Tensor) -> Tensor:
        if len(inputs) == 1:
            inputs = torch.cat([inputs, inputs.flip(-1)])
            return self.norm(super().forward(inputs))[:1]  # type: ignore[no-any-return]
        return self.norm(super().forward(inputs))  # type: ignore[no-any-return]


def quantized() -> nn.Module:
    torch.manual_seed(26)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is deprecated
        return torch.ao.quantization.quantize_dynamic(  # type: ignore[no-any-return, no-untyped-call]
            network, {nn.Linear}, dtype=torch.qint8
        ).eval()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (BatchStatistics().eval(), "in evaluation mode too, a part of it combines the samples"),
        (partial(Mixed(1.0).eval()), r"it is in training mode \(batch norm\)"),
    ],
    ids=["statistics", "function"],
)
def test_the_reason_for_dependent_samples_fits_the_model(model: Model, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        probe_model(model, data(), UNIT)


def test_dynamic_quantization_is_named() -> None:
    inputs = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    inputs[0] *= 0.02  # other inputs scale its activations
    samples = as_data((inputs, torch.zeros(8, dtype=torch.int64)))
    with pytest.raises(InputError, match="dynamic quantization scales the activations by the"):
        probe_model(quantized(), samples, UNIT)


def test_a_model_that_loses_its_gradients_at_the_bounds_has_a_warning() -> None:
    model = Centered().eval()
    probe = probe_model(lambda inputs: model(inputs.clamp(0, 1)), data(), UNIT)
    assert probe.loses_gradients
    assert probe.doubts == (LOST_GRADIENTS,)
    assert not probe_model(model, data(), UNIT).loses_gradients


def test_noise_of_small_logits_is_noticed() -> None:
    model = Noisy(0.05).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e-4)
    with pytest.raises(InputError, match="the same inputs"):
        probe_model(model, data(), UNIT)


def test_reduced_precision_may_differ_more() -> None:
    probe_model(Noisy(0.01).eval().bfloat16(), data(), UNIT)
    with pytest.raises(InputError, match="the same inputs"):
        probe_model(Noisy(0.1).eval().bfloat16(), data(), UNIT)


def test_a_model_that_cannot_be_differentiated_is_refused() -> None:
    model = Centered().eval()

    def outside_of_autograd(inputs: Tensor) -> Tensor:
        return model(torch.from_numpy(inputs.numpy()))  # type: ignore[no-any-return]

    with pytest.raises(InputError, match=r"cannot be differentiated .* passes them to NumPy"):
        probe_model(outside_of_autograd, data(), UNIT)


def test_a_model_without_gradients_has_a_warning() -> None:
    model = Centered().eval()
    probe = probe_model(lambda inputs: model(inputs).detach(), data(), UNIT)
    [doubt] = probe.doubts
    assert doubt.kind == "zero-gradients"
    assert "gradients with respect to its inputs are all zero" in doubt.text


def test_a_saturated_softmax_has_a_warning() -> None:
    model = Centered().eval()
    [doubt] = probe_model(lambda inputs: 1e6 * model(inputs), data(), UNIT).doubts
    assert doubt.kind == "saturated"


class Augmented(Dataset[tuple[Tensor, int]]):
    """Images that are moved at random each time they are read, as for training."""

    def __init__(self, most: float) -> None:
        self.generator, self.most = torch.Generator().manual_seed(0), most

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        moved = self.most * torch.rand((), generator=self.generator)
        return torch.full((1, 28, 28), index / 12) + moved, 0


def test_data_that_are_others_each_time_have_a_warning() -> None:
    [doubt] = probe_model(Centered().eval(), as_data(Augmented(0.1)), UNIT).doubts
    assert doubt.kind == "random-data"
    assert "random augmentations" in doubt.text
    assert probe_model(Centered().eval(), as_data(Augmented(0.0)), UNIT).doubts == ()


def test_probabilities_have_a_warning() -> None:
    [doubt] = probe_model(nn.Sequential(Centered(), nn.Softmax(1)).eval(), data(), UNIT).doubts
    assert doubt.kind == "probabilities"
    assert "look like probabilities" in doubt.text
