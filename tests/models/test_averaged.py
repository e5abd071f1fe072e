"""Averages over fixed draws: against draws made by hand, and closed forms."""

import copy
import logging
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import minnorm
from minnorm.attacks.engine.problem import check_evaluation_mode
from minnorm.errors import InputError
from minnorm.models import (
    Averaged,
    Normalized,
    averaged,
    binary,
    fingerprint,
    predict_only,
    straight_through,
)
from minnorm.models.averaged import averaged_part, passes_of_average, seed_of, single_draw
from models.random_models import Noise, Resized, Shifted

SOURCES = ["torch", "numpy", "python", torch.Generator, np.random.default_rng]


def one_draw(model: nn.Module, sample: Tensor, seed: int) -> Tensor:
    """Return the logits of one sample alone, after seeding all global generators."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    logits: Tensor = model(sample.unsqueeze(0))
    return logits.squeeze(0)


@pytest.mark.parametrize("model", [Shifted(), Resized()])
def test_the_average_is_that_of_single_samples_in_each_draw(model: nn.Module) -> None:
    inputs = torch.rand(3, 1, 8, 8)
    found = averaged(model, draws=5, seed=7)(inputs)
    each = [
        torch.stack([one_draw(model, sample, seed_of(7, 0, draw)) for sample in inputs])
        for draw in range(5)
    ]
    torch.testing.assert_close(found, torch.stack(each).mean(0))
    assert not torch.allclose(each[0], each[1])


def test_gradients_are_the_average_of_the_gradients() -> None:
    # The logits are c * sum(x ** 2) for a random c, so the gradient is 2 * c * x.
    class Scaled(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            squares = torch.rand(()) * inputs.square().sum(1)
            return torch.stack([squares, -squares], dim=1)

    inputs = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    logits = averaged(Scaled().eval(), draws=6, seed=1)(inputs)
    factors = logits[:, 0] / inputs.square().sum(1)
    assert (factors - factors[0]).abs().max() < 1e-12
    assert 0 < factors[0] < 1
    (gradients,) = torch.autograd.grad(logits[:, 0].sum(), inputs)
    torch.testing.assert_close(gradients, 2 * factors[0] * inputs)


@pytest.mark.parametrize("source", SOURCES)
def test_samples_depend_neither_on_their_batch_nor_on_their_position(source: Any) -> None:
    model = averaged(Shifted(1.0, source if isinstance(source, str) else source()), draws=3)
    inputs = torch.rand(5, 4)
    found = model(inputs)
    assert torch.equal(model(inputs), found)
    torch.testing.assert_close(model(inputs.flip(0)).flip(0), found)
    torch.testing.assert_close(torch.cat([model(inputs[:2]), model(inputs[2:])]), found)
    assert model(inputs[:0]).shape == (0, 2)


def test_the_layout_of_the_inputs_does_not_change_the_draws() -> None:
    inputs = torch.rand(2, 3, 4, 5)
    other = inputs.contiguous(memory_format=torch.channels_last)
    assert other.stride() != inputs.stride()
    model = averaged(nn.Sequential(Noise(1.0), nn.Flatten()).eval(), draws=2)
    assert torch.equal(model(other), model(inputs))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes_are_averaged_in_batches_as_well(
    dtype: torch.dtype, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = torch.rand(3, 1, 8, 8, dtype=dtype)
    logits = averaged(Resized().to(dtype), draws=2)(inputs)
    assert logits.dtype == dtype
    assert caplog.records == []


def test_outputs_that_are_no_logits_get_the_usual_message() -> None:
    class Classes(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return (inputs + torch.rand_like(inputs)).argmax(1)

    labels = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(InputError, match=r"output of shape \[3\] for 3 inputs; expected logits"):
        minnorm.ddn(averaged(Classes().eval(), 2), torch.rand(3, 4), labels, steps=2)


@pytest.mark.parametrize("draws", [1, 400])
def test_more_draws_come_closer_to_the_expectation(draws: int) -> None:
    # The sum of 4 entries with noise of 1 each has a standard deviation of 2.
    inputs = torch.rand(2, 4, dtype=torch.float64)
    errors = [
        averaged(Shifted(1.0), draws, seed)(inputs)[0, 0] - inputs[0].sum() for seed in range(12)
    ]
    deviation = torch.stack(errors).square().mean().sqrt()
    assert deviation.item() == pytest.approx(2 / draws**0.5, rel=0.5)


@pytest.mark.parametrize("source", SOURCES)
def test_the_states_of_all_generators_are_restored(source: Any) -> None:
    own = source if isinstance(source, str) else source()
    model = averaged(Shifted(1.0, own), draws=2)
    before = torch.random.get_rng_state()
    states = [np.random.get_state(), random.getstate(), state_of(own)]
    model(torch.rand(3, 4, generator=torch.Generator()))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert str(np.random.get_state()) == str(states[0])
    assert random.getstate() == states[1]
    assert state_of(own) == states[2]


def state_of(source: Any) -> str:
    if isinstance(source, torch.Generator):
        return str(source.get_state().tolist())
    return str(source.bit_generator.state) if isinstance(source, np.random.Generator) else source


def test_states_are_restored_if_the_model_fails() -> None:
    class Failing(Shifted):
        def forward(self, inputs: Tensor) -> Tensor:
            super().forward(inputs)
            raise OSError("broken")

    inputs = torch.rand(2, 3)
    before = torch.random.get_rng_state()
    with pytest.raises(OSError, match="broken"):
        averaged(Failing())(inputs)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_noise_of_a_draw_is_the_same_for_all_samples() -> None:
    model = averaged(Shifted(1.0), draws=1)
    shifts = model(torch.zeros(6, 4))[:, 0]
    assert shifts[0] != 0
    assert torch.equal(shifts, shifts[:1].expand(6))


class Converted(Shifted):
    """A model that leaves PyTorch, which vmap does not allow."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(torch.from_numpy(inputs.numpy()))


class PerPosition(Shifted):
    """A model that gives each sample of a batch other noise even under vmap."""

    def __init__(self) -> None:
        super().__init__(1.0)
        self.step = straight_through(lambda batch: batch + torch.randn(len(batch), 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(self.step(inputs))


@pytest.mark.parametrize(
    ("model", "reason"),
    [(Converted(1.0), "cannot call it with several"), (PerPosition(), "its logits differ then")],
)
def test_without_vmap_samples_are_called_alone_and_a_warning_says_so(
    model: nn.Module, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    average = averaged(model, draws=2)
    inputs = torch.rand(4, 3)
    with caplog.at_level(logging.WARNING), torch.no_grad():
        found = average(inputs)
        torch.testing.assert_close(average(inputs.flip(0)).flip(0), found)
        torch.testing.assert_close(average(inputs[2:3]), found[2:3])
    assert len(caplog.records) == 1
    assert reason in caplog.text
    each = [one_draw(model, inputs[3], seed_of(0, 0, draw)).detach() for draw in range(2)]
    torch.testing.assert_close(found[3], torch.stack(each).mean(0))


@pytest.mark.parametrize("outputs", ["logits", "classes"])
@pytest.mark.parametrize("shared", [True, False])
def test_a_model_without_gradients_is_called_with_a_batch_if_samples_share_a_draw(
    shared: bool, outputs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sizes: list[int] = []

    def predict(batch: Any) -> Any:
        sizes.append(len(batch))
        noise = np.random.normal(size=(1 if shared else len(batch), 3))
        scores = batch + 0.01 * noise  # seldom another class
        return scores if outputs == "logits" else scores.argmax(1)

    average = averaged(predict_only(predict, outputs, classes=3), draws=2)
    inputs = torch.eye(3).repeat(2, 1)
    with caplog.at_level(logging.WARNING):
        found = average(inputs)
    assert sizes[-2:] == ([6, 6] if shared else [1, 1])
    assert ("draws other random numbers for each sample" in caplog.text) != shared
    assert "vmap" not in caplog.text
    assert torch.equal(average(inputs.flip(0)).flip(0), found)
    assert torch.equal(average(inputs[4:5]), found[4:5])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_average_is_the_same_without_gradients(mode: Callable[[], Any]) -> None:
    model, inputs = averaged(Resized(), draws=3), torch.rand(2, 1, 8, 8)
    expected = model(inputs).detach()
    with mode():
        torch.testing.assert_close(model(inputs), expected)


def test_functions_can_be_averaged_too() -> None:
    model = averaged(Shifted(1.0).forward, draws=3)
    assert not model.training
    inputs = torch.rand(2, 4)
    assert torch.equal(model(inputs), averaged(Shifted(1.0), draws=3)(inputs))


def test_a_single_draw_has_the_seed_that_it_is_given() -> None:
    noisy = Shifted(1.0)
    model, inputs = averaged(noisy, draws=4), torch.rand(2, 3)
    assert passes_of_average(model) == 1
    with single_draw(5):
        found = model(inputs)
        assert passes_of_average(model) == 0.25
        assert passes_of_average(nn.Identity()) == 1
    torch.testing.assert_close(found[1], one_draw(noisy, inputs[1], 5))
    assert not torch.equal(model(inputs), found)


def test_the_average_is_found_inside_of_other_modules() -> None:
    part = averaged(Shifted())
    assert averaged_part(part) is part
    assert averaged_part(nn.Sequential(nn.Identity(), part)) is part
    assert averaged_part(nn.Identity()) is None
    assert averaged_part(lambda inputs: inputs) is None


def test_the_fingerprint_and_the_mode_are_those_of_the_arguments() -> None:
    model = averaged(Shifted(), draws=8, seed=3, threshold=0.9)
    assert (model.draws, model.seed, model.threshold) == (8, 3, 0.9)
    assert "draws=8, seed=3, threshold=0.9" in repr(model)
    assert fingerprint(model) == fingerprint(copy.deepcopy(model))
    others = [averaged(Shifted(), 9, 3, 0.9), averaged(Shifted(), 8, 4, 0.9)]
    assert fingerprint(model) not in {fingerprint(other) for other in others}
    assert averaged(Shifted().train()).training


def _normalized(network: nn.Module) -> Normalized:
    return Normalized(network, [0.5], [0.5])


@pytest.mark.parametrize("wrap", [averaged, binary, straight_through, predict_only, _normalized])
def test_a_wrapper_changes_the_mode_of_no_part(wrap: Any) -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Dropout()).eval()
    network[1].train()  # dropout as a defense: without it the model would not be random
    wrapped = wrap(network)
    assert (wrapped.training, network.training, network[1].training) == (False, False, True)
    with pytest.raises(
        InputError, match=r"\(its part '.*1', a Dropout\).*wrap the model with minn"
    ):
        check_evaluation_mode(wrapped)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "the model is a int; expected a function"),
        ({"draws": 0}, "draws=0: expected a whole number of at least 1"),
        ({"seed": -1}, "seed=-1: expected a whole number"),
        ({"threshold": 0}, "threshold=0: expected a share of draws above 0 and at most 1"),
        ({"threshold": 1.1}, "threshold=1.1: expected"),
        ({"threshold": True}, "threshold=True: expected"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        averaged(**{"model": Shifted(), **arguments})
    assert isinstance(averaged(Shifted(), threshold=1), Averaged)
