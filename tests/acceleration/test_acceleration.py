"""`accelerate`: the same classifier, faster; and what it refuses."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from acceleration.small_networks import Branching, Residual, batch_norms, example, network
from attacks.networks import problem
from minnorm.acceleration import SAMPLES, accelerate, acceleration
from minnorm.acceleration.agreement import input_gradients
from minnorm.data import load_data
from minnorm.errors import InputError
from minnorm.models import load_model


@pytest.mark.parametrize(
    ("use", "dtype"),
    [
        ("plain", torch.float64),
        ("folded", torch.float32),
        ("narrow", torch.float32),
        ("channels-last", torch.float32),
        ("folded+narrow+channels-last", torch.float64),
    ],
)
def test_the_exact_classifier_computes_the_same(use: str, dtype: torch.dtype) -> None:
    model = network().to(dtype)
    fast = accelerate(model, example(dtype=dtype), use)
    assert (fast.used, fast.coarse) == (use, None)
    inputs = example(5, dtype)
    tolerance = 100 * torch.finfo(dtype).eps
    assert torch.allclose(fast(inputs), model(inputs), rtol=0, atol=tolerance)
    expected, found = (input_gradients(one, inputs) for one in (model, fast))
    assert torch.allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("use", ["autocast", "bfloat16"])
def test_the_coarse_classifier_computes_nearly_the_same(use: str) -> None:
    model = network()
    fast = accelerate(model, example(), use)
    assert (fast.used, fast.original) == (use, model)
    assert fast.coarse is not None
    inputs = example(5)
    logits = fast.coarse(inputs)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, model(inputs))
    assert torch.allclose(logits, model(inputs), rtol=0, atol=0.05)
    assert torch.equal(fast(inputs), model(inputs))


@pytest.mark.parametrize(
    ("use", "training"),
    [
        ("auto", True),
        ("plain", False),
        ("folded+narrow+channels-last+bfloat16", True),
        ("folded+narrow+channels-last+bfloat16", False),
    ],
)
def test_the_model_does_not_change(use: str, training: bool) -> None:
    model = network().train(training)
    state = copy.deepcopy(model.state_dict())
    fast = accelerate(model, example(), use)
    fast(example())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.training == training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.allclose(fast(example()), network()(example()), atol=1e-4)


def test_off_uses_the_model_as_it_is() -> None:
    model = network()
    fast = accelerate(model, example(), "off")
    assert (fast.original, fast.exact, fast.coarse, fast.used) == (model, model, None, "off")
    assert fast.notes == ("the model is used as it is: as requested",)


def test_auto_uses_a_fast_model_as_it_is() -> None:
    model, inputs, _ = problem((1, 4, 4))
    fast = accelerate(model, inputs)
    assert (fast.used, fast.exact, fast.coarse) == ("off", model, None)
    assert "nothing to gain" in fast.notes[0]


def test_auto_says_what_it_used_and_the_same_words_repeat_it() -> None:
    model = load_model("zoo:mnist-cnn")
    inputs, _ = load_data("mnist-sample[:64]").batch(range(64))
    fast = accelerate(model, inputs)
    assert fast.notes
    again = accelerate(model, inputs, fast.used)
    assert again.used == fast.used
    assert torch.equal(again(inputs), fast(inputs))
    assert (again.coarse is None) == (fast.coarse is None)
    if again.coarse is not None and fast.coarse is not None:
        assert torch.equal(again.coarse(inputs), fast.coarse(inputs))


def test_samples_may_be_single_numbers() -> None:
    class Number(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return torch.stack([inputs, 1 - inputs], 1)

    inputs = torch.rand(5)
    fast = accelerate(Number().eval(), inputs, "plain")
    assert torch.equal(fast(inputs), Number()(inputs))


def test_a_function_is_called_as_it_is() -> None:
    def model(inputs: Tensor) -> Tensor:
        return inputs.flatten(1)[:, :5]

    fast = accelerate(model, example())
    assert (fast.used, fast.exact, fast.coarse) == ("off", model, None)
    assert "it is not a torch.nn.Module" in fast.notes[0]


@pytest.mark.parametrize(
    ("use", "message"), [("fast", "use='fast': expected 'auto', 'off'"), (None, "expected words")]
)
def test_the_words_are_checked(use: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        accelerate(network(), example(), use)


@pytest.mark.parametrize(
    ("model", "inputs", "use", "message"),
    [
        ("zoo:mnist-cnn", example(), "auto", "the model is a str"),
        (network(), example().numpy(), "off", "the example is a ndarray"),
        (network(), example()[:0], "auto", r"has shape \[0, 3, 10, 10\]"),
        (network(), torch.tensor(1.0), "folded", r"has shape \[\] .* of at least one sample"),
        (network(), example().long(), "folded", "dtype torch.int64"),
        (network(), example() * torch.nan, "off", "NaN or infinite"),
        (network(), example() + torch.inf, "auto", "NaN or infinite"),
        (network(), example()[:, :1], "auto", "failed on an example of shape"),
        (network(), example()[:, :1], "off", "failed on an example of shape"),
        (network(), example().double(), "folded", "failed on an example of shape"),
        (lambda given: (given,), example(), "auto", "the model returned tuple"),
        (lambda given: given.sum((1, 2, 3)), example(), "off", r"an output of shape \[1\]"),
    ],
)
def test_a_model_or_example_that_cannot_be_used_is_refused(
    model: nn.Module, inputs: Tensor, use: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        accelerate(model, inputs, use)


@pytest.mark.parametrize("use", ["off", "plain"])
def test_a_model_in_training_mode_is_copied_in_evaluation_mode(use: str) -> None:
    model = network()
    model.get_submodule("last").train()  # a part is enough
    fast = accelerate(model, example(), use)
    assert model.get_submodule("last").training
    assert isinstance(fast.original, nn.Module)
    assert not any(part.training for part in fast.original.modules())
    assert torch.allclose(fast(example()), network()(example()), atol=1e-5)


def test_dropout_that_stays_on_is_not_turned_off() -> None:
    model = nn.Sequential(network(), nn.AlphaDropout()).eval()
    model[1].train()
    with pytest.raises(InputError, match=r"its part '1', a AlphaDropout, is in training.*averaged"):
        accelerate(model, example())
    whole = accelerate(model.train(), example(), "off").original
    assert isinstance(whole, nn.Module)
    assert not whole.get_submodule("1").training


def test_a_model_in_training_mode_that_cannot_be_copied_is_refused() -> None:
    class Uncopied(Residual):
        def __deepcopy__(self, memo: object) -> nn.Module:
            raise TypeError("no copies")

    message = r"in training mode, and copying it .* \(TypeError: no copies\): call model.eval\(\)"
    with pytest.raises(InputError, match=message):
        accelerate(Uncopied().train(), example())


def test_an_accelerated_model_is_not_accelerated_twice() -> None:
    model = network()
    once = accelerate(model, example(), "folded+bfloat16")
    twice = accelerate(once, example(), "narrow")
    assert twice.original is model
    assert twice.used == "narrow"


@pytest.mark.parametrize(("use", "most"), [("auto", SAMPLES), ("plain", 8)])
def test_few_samples_of_the_example_are_used(use: str, most: int) -> None:
    sizes: list[int] = []

    class Counted(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            sizes.append(len(inputs))
            return inputs.flatten(1)

    accelerate(Counted().eval(), torch.rand(SAMPLES + 1, 4), use)
    assert sizes[0] == 1
    assert max(sizes) == most


@pytest.mark.parametrize(("use", "expected"), [("off", []), ("plain", ["kept"])])
def test_freed_memory_is_kept_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, use: str, expected: list[str]
) -> None:
    order: list[str] = []

    class Noting(Residual):
        def forward(self, inputs: Tensor) -> Tensor:
            order.append("called")
            return super().forward(inputs)

    monkeypatch.setattr(acceleration, "keep_freed_memory", lambda: order.append("kept"))
    accelerate(Noting().eval(), example(), use)
    assert order[: len(expected) + 1] == [*expected, "called"]
    assert order.count("kept") == len(expected)


def test_it_works_in_inference_mode_and_outside_afterwards() -> None:
    model = network()
    with torch.inference_mode():
        fast = accelerate(model, example(), "folded+narrow+bfloat16")
    assert fast.coarse is not None
    for classifier in (fast.exact, fast.coarse):
        assert input_gradients(classifier, example()).any()


class Learns(Residual):
    """A network that takes gradients to its own weights, which a frozen copy does not have."""

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.enable_grad():
            torch.autograd.grad(self.stem(inputs.detach()).sum(), self.stem.weight)
        return super().forward(inputs)


def test_a_model_whose_copy_fails_is_used_as_it_is_or_an_error_if_requested() -> None:
    model = network(Learns)
    fast = accelerate(model, example())
    assert (fast.used, fast.exact, fast.original) == ("off", model, model)
    assert "the model is used as it is: its copy fails (RuntimeError" in fast.notes[0]
    with pytest.raises(InputError, match=r"cannot use 'folded' with this model \(RuntimeError"):
        accelerate(model, example(), "folded")


def test_a_value_error_of_the_model_is_reported_as_an_input_error() -> None:
    class Refuses(Residual):
        def forward(self, inputs: Tensor) -> Tensor:
            if len(inputs) > 1:
                raise ValueError("one at a time")
            return super().forward(inputs)

    with pytest.raises(InputError, match=r"cannot use 'plain' .*ValueError: one at a time"):
        accelerate(Refuses().eval(), example(), "plain")


@pytest.mark.parametrize(("kind", "use"), [(Residual, "folded"), (Branching, "plain")])
def test_the_notes_are_logged(
    kind: Callable[[], nn.Module], use: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="minnorm"):
        fast = accelerate(network(kind), example(), use)
    assert [record.getMessage() for record in caplog.records] == list(fast.notes)
    assert batch_norms(fast.exact) == (0 if use == "folded" else 3)


@pytest.mark.slow
def test_a_model_can_be_compiled() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Tanh()).eval()
    inputs = torch.rand(8, 4)
    fast = accelerate(model, inputs, "folded+compiled")
    assert fast.used == "folded+compiled"
    for part in (inputs, inputs[:3]):
        torch.testing.assert_close(fast(part), model(part), rtol=0, atol=1e-5)
    expected, found = (input_gradients(one, inputs) for one in (model, fast))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
