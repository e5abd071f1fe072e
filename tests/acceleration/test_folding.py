"""Folding batch norms into the layers before them, and where that is not done."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from acceleration.small_networks import Branching, Residual, batch_norms, example, network
from minnorm.acceleration.agreement import input_gradients
from minnorm.acceleration.folding import fold_batch_norms
from minnorm.models.wide_resnet import WideResNet


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    """Record no graph, as `accelerate` does."""
    with torch.no_grad():
        yield


def _folded(model: nn.Module, inputs: Tensor | None = None) -> nn.Module:
    """Return the folded module, after a check that it computes the same."""
    inputs = example() if inputs is None else inputs
    folded = fold_batch_norms(model, inputs)
    assert folded is not None
    torch.testing.assert_close(folded(inputs), model(inputs), rtol=0, atol=1e-4)
    return folded


def _trained(*layers: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Return the layers in a row, in evaluation mode, after some batches in training mode."""
    torch.manual_seed(0)
    model = nn.Sequential(*layers)
    for _ in range(3):
        model(2 * torch.rand(16, *shape) + 1)
    return model.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_batch_norms_are_folded_and_the_model_does_not_change(dtype: torch.dtype) -> None:
    model = network().to(dtype)
    folded = fold_batch_norms(model, example(dtype=dtype))
    assert folded is not None
    assert (batch_norms(folded), batch_norms(model)) == (0, 3)
    tolerance = 100 * torch.finfo(dtype).eps
    inputs = example(5, dtype)
    assert torch.allclose(folded(inputs), model(inputs), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ((nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.Flatten()), (3, 5)),
        ((nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()), (3, 5, 5)),
        ((nn.Conv3d(3, 4, 3), nn.BatchNorm3d(4), nn.Flatten()), (3, 4, 4, 4)),
        ((nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Flatten()), (3, 5, 5)),
        ((nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4)), (6,)),
    ],
)
def test_a_single_batch_norm_is_folded(
    layers: tuple[nn.Module, ...], shape: tuple[int, ...]
) -> None:
    model = _trained(*layers, shape=shape)
    folded = _folded(model, torch.rand(8, *shape) + 1)
    assert (batch_norms(model), batch_norms(folded)) == (1, 0)


def test_a_single_batch_norm_is_folded_inside_a_module_that_cannot_be_traced() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())

        def forward(self, inputs: Tensor) -> Tensor:
            result: Tensor = self.inside(inputs if inputs.mean() > 0 else -inputs)
            return result

    model = network(Around)
    assert (batch_norms(model), batch_norms(_folded(model))) == (1, 0)


def test_parts_that_can_be_traced_are_folded_and_the_others_stay() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = Residual()
            self.branching = Branching()

        def forward(self, inputs: Tensor) -> Tensor:
            result: Tensor = self.inside(inputs) + self.branching(inputs)
            return result

    assert batch_norms(_folded(network(Around))) == 3


def test_without_batch_norms_there_is_nothing_to_fold() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()).eval()
    assert fold_batch_norms(model, example()) is None


def test_a_module_that_can_be_traced_nowhere_is_not_folded() -> None:
    assert fold_batch_norms(network(Branching), example()) is None


def test_a_batch_norm_before_a_convolution_stays() -> None:
    torch.manual_seed(0)
    model = WideResNet(10, 1, dropout=0.0).eval()
    folded = _folded(model, torch.rand(4, 3, 32, 32))
    # The second norm of each of the three blocks follows a convolution. The first ones, and the
    # last one of all, follow sums or layers whose output is used elsewhere too.
    assert (batch_norms(model), batch_norms(folded)) == (7, 4)


class Twice(Residual):
    """Uses one convolution twice, each time with another batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.BatchNorm2d(8)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.before(self.stem(inputs)))
        hidden = torch.relu(self.after(self.body(hidden)))
        hidden = torch.relu(self.again(self.body(hidden)))
        result: Tensor = self.last(self.head(hidden.mean((2, 3))))
        return result


class SharedNorm(Residual):
    """Uses one batch norm after two convolutions."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.before(self.stem(inputs)))
        hidden = hidden + torch.relu(self.before(self.body(hidden)))
        result: Tensor = self.last(self.head(hidden.mean((2, 3))))
        return result


class TwoReaders(Residual):
    """Uses the output of a convolution twice: before and after its batch norm."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.stem(inputs)
        hidden = torch.relu(self.before(hidden)) + 0.1 * hidden
        hidden = hidden + torch.relu(self.after(self.body(hidden)))
        result: Tensor = self.last(self.head(hidden.mean((2, 3))))
        return result


class ActingNorm(nn.BatchNorm2d):
    """A batch norm that does something else too."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name
        return torch.relu(super().forward(input))


class ActingConvolution(nn.Conv2d):
    """A convolution that does something else too."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name
        return torch.relu(super().forward(input))


class ActingLinear(nn.Linear):
    """A linear layer that does something else too."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name
        return torch.relu(super().forward(input))


class WithActingNorm(Residual):
    def __init__(self) -> None:
        super().__init__()
        self.after = ActingNorm(8)


class WithActingConvolution(Residual):
    def __init__(self) -> None:
        super().__init__()
        self.stem = ActingConvolution(3, 8, 3)


class WithActingLinear(Residual):
    def __init__(self) -> None:
        super().__init__()
        self.head = ActingLinear(8, 5)


class WithTransposedConvolution(Residual):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ConvTranspose2d(3, 8, 3)  # type: ignore[assignment]


class WithoutWeights(Residual):
    """Its last batch norm, after a linear layer, has no weights."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.BatchNorm1d(5, affine=False)


class WithoutStatistics(Residual):
    """Its first batch norm keeps no statistics and normalizes each batch by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.BatchNorm2d(8, track_running_stats=False)


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (Twice, 2),
        (SharedNorm, 1),
        (TwoReaders, 1),
        (WithActingNorm, 1),
        (WithActingConvolution, 1),
        (WithActingLinear, 1),
        (WithTransposedConvolution, 1),
        (WithoutWeights, 1),
        (WithoutStatistics, 1),
    ],
)
def test_a_layer_that_may_do_more_stays_and_the_others_are_folded(
    kind: Callable[[], nn.Module], left: int
) -> None:
    assert batch_norms(_folded(network(kind))) == left


def _hooks(module: nn.Module) -> list[Callable[[], object]]:
    def zeros(*arguments: object) -> None:
        """Change nothing; that a hook is there is enough."""

    return [
        lambda: module.register_forward_hook(zeros),
        lambda: module.register_forward_pre_hook(zeros),
        lambda: module.register_full_backward_hook(zeros),
        lambda: module.register_full_backward_pre_hook(zeros),
    ]


@pytest.mark.parametrize("name", ["body", "after"])
@pytest.mark.parametrize("number", range(4))
def test_layers_with_hooks_stay(name: str, number: int) -> None:
    model = network()
    _hooks(model.get_submodule(name))[number]()
    assert batch_norms(_folded(model)) == 1


def test_hooks_of_layers_still_run() -> None:
    model = network()
    for layer in (model.get_submodule("stem"), model.get_submodule("body")):
        layer.register_forward_hook(lambda _, __, result: result.clamp(-0.1, 0.1))
    assert batch_norms(_folded(model)) == 2


class StraightThrough(Residual):
    """Rounds its inputs, and passes their gradients as if it did not."""

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            moved = (inputs * 7).round() / 7 - inputs
        return super().forward(inputs + moved)


def test_a_module_whose_gradients_would_be_lost_is_not_folded() -> None:
    model = network(StraightThrough)
    assert input_gradients(model, example()).any()
    assert fold_batch_norms(model, example()) is None


def test_a_module_that_cannot_be_copied_is_not_folded() -> None:
    class Uncopied(Residual):
        def __deepcopy__(self, memo: object) -> "Uncopied":
            raise TypeError("not to be copied")

    assert fold_batch_norms(network(Uncopied), example()) is None
