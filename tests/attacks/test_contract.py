"""The contract, for every registered attack: an attack gets these tests by being registered.

In each norm that it knows.
"""

import copy
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from attacks.cases import VARIANTS, Attack, Case, attack_of, bare, case_of, effort, takes
from attacks.networks import Curved, Linear, problem
from minnorm.attacks import AttackResult
from minnorm.geometry import Norm, distances, rows
from reference.linear import optimal_distance

pytestmark = pytest.mark.parametrize("name", VARIANTS)


@pytest.fixture
def attack(name: str) -> Attack:
    """The attack, with a budget that fits a test."""
    return attack_of(name)


@pytest.fixture
def case(name: str) -> Case:
    """What has to be known of it."""
    return case_of(name)


@pytest.fixture
def norm(name: str) -> Norm:
    """The norm in which it measures."""
    return "linf" if name.endswith("linf") else "l2"


def check_agreement(
    result: AttackResult,
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    norm: Norm,
    *,
    targeted: bool,
) -> None:
    with torch.no_grad():
        predicted = model(result.adversarials).argmax(1)
    hit = predicted == labels if targeted else predicted != labels
    assert torch.equal(result.success, hit)
    measured = distances(result.adversarials, inputs, norm)
    assert torch.allclose(result.distances[hit], measured[hit], rtol=1e-6)
    assert result.distances[~hit].isinf().all()
    assert torch.equal(result.adversarials[~hit], inputs[~hit])
    assert result.adversarials.min() >= 0
    assert result.adversarials.max() <= 1


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("shape", "batch"), [((), 7), ((3,), 1), ((1, 4, 4), 7), ((2, 3, 2, 2), 3)], ids=str
)
def test_result_agrees_with_the_model(
    attack: Attack,
    norm: Norm,
    batch: int,
    shape: tuple[int, ...],
    *,
    dtype: torch.dtype,
    targeted: bool,
) -> None:
    model, inputs, labels = problem(shape, batch=batch, dtype=dtype)
    wanted = (labels + 1) % 5 if targeted else labels
    result = attack(model, inputs, wanted, targeted=targeted)
    assert result.adversarials.dtype == dtype
    assert result.adversarials.shape == inputs.shape
    check_agreement(result, model, inputs, wanted, norm, targeted=targeted)
    # One pixel alone need not reach another class, nor need one gradient point to the wanted one.
    # And in half precision steps to the wanted class can be smaller than the rounding.
    exact = dtype.itemsize > 2 or not targeted
    if shape != () and batch > 1 and exact and not takes(attack, "epsilon"):
        assert result.success.float().mean() > 0.5


@pytest.mark.parametrize("classes", [2, 3, 100])
def test_any_number_of_classes(attack: Attack, case: Case, norm: Norm, classes: int) -> None:
    model, inputs, labels = problem((20,), classes=classes)
    result = attack(model, inputs, labels)
    assert result.success.all() or not case.many_gradients
    assert result.success.any()
    check_agreement(result, model, inputs, labels, norm, targeted=False)


@pytest.mark.parametrize("epsilon", [0.1, 0.15, 0.3, 0.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_what_is_found_within_a_radius_is_within_it(
    attack: Attack, norm: Norm, dtype: torch.dtype, epsilon: float
) -> None:
    if not takes(attack, "epsilon"):
        pytest.skip("has no radius")
    model, inputs, labels = problem((1, 8, 8), batch=50, dtype=dtype)
    result = attack(model, inputs, labels, epsilon=epsilon)
    assert result.success.any()
    assert (distances(result.adversarials, inputs, norm)[result.success] <= epsilon).all()


def test_empty_batch(attack: Attack) -> None:
    model, inputs, labels = problem((3,))
    result = attack(model, inputs[:0], labels[:0])
    assert result.adversarials.shape == (0, 3)
    assert result.success.shape == result.distances.shape == (0,)


def test_never_asks_about_an_empty_batch(attack: Attack) -> None:
    model, inputs, labels = problem((1, 4, 4))

    def strict(points: Tensor) -> Tensor:
        assert len(points) > 0
        logits: Tensor = model(points)
        return logits

    result = attack(strict, inputs, labels)
    assert result.success.any()


def test_logits_may_be_wider_than_the_inputs(attack: Attack, case: Case) -> None:
    model, inputs, labels = problem((20,))
    result = attack(lambda points: model(points).double(), inputs, labels)
    assert result.success.all() or not case.many_gradients
    assert result.adversarials.dtype == torch.float32


def test_one_step_works_and_its_point_counts(attack: Attack, case: Case, norm: Norm) -> None:
    model, inputs, labels = problem((20,), network=Linear, classes=2)
    result = attack(model, inputs, labels, **case.one_step)
    check_agreement(result, model, inputs, labels, norm, targeted=False)
    assert result.success.any()


@pytest.mark.parametrize("targeted", [False, True])
def test_order_and_batch_do_not_matter(attack: Attack, targeted: bool) -> None:
    # In float64, so that the rounding of other batch shapes stays far below the tolerance.
    model, inputs, labels = problem((1, 4, 4), batch=9, dtype=torch.float64)
    labels = (labels + 1) % 5 if targeted else labels
    whole = attack(model, inputs, labels, targeted=targeted)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    permuted = attack(model, inputs[order], labels[order], targeted=targeted)
    assert torch.allclose(permuted.adversarials, whole.adversarials[order], atol=1e-6)
    for part in (slice(0, 1), slice(1, 4), slice(4, 9)):
        split = attack(model, inputs[part], labels[part], targeted=targeted)
        assert torch.allclose(split.adversarials, whole.adversarials[part], atol=1e-6)
        assert torch.equal(split.success, whole.success[part])


def test_order_does_not_matter_without_gradients(attack: Attack) -> None:
    model = Flat().double().eval()
    inputs = torch.rand(6, 3, generator=torch.Generator().manual_seed(0)).double() / 3
    labels = torch.zeros(6, dtype=torch.int64)
    whole = attack(model, inputs, labels)
    single = [attack(model, inputs[i : i + 1], labels[:1]) for i in range(6)]
    assert torch.equal(torch.cat([one.adversarials for one in single]), whole.adversarials)


def test_changes_nothing(attack: Attack) -> None:
    model, inputs, labels = problem((1, 4, 4))
    inputs.requires_grad_()
    state = copy.deepcopy(model.state_dict())
    before = inputs.detach().clone(), labels.clone()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    state_of_rng = torch.random.get_rng_state()
    result = attack(model, inputs, labels)
    assert torch.equal(torch.random.get_rng_state(), state_of_rng)
    assert torch.equal(inputs.detach(), before[0])
    assert torch.equal(labels, before[1])
    assert inputs.grad is None
    assert inputs.requires_grad
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    for parameter in model.parameters():
        assert parameter.requires_grad
        assert parameter.grad is not None
        assert parameter.grad.eq(1).all()
    assert not any(module.training for module in model.modules())
    assert not result.adversarials.requires_grad
    assert result.adversarials.data_ptr() != inputs.data_ptr()


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout()])
def test_refuses_layers_in_training_mode(attack: Attack, layer: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(3, 3), layer).train()
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=r"training mode: call model.eval\(\) first"):
        attack(model, torch.rand(2, 3), torch.tensor([0, 1]))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("which", ["inputs", "labels"])
def test_refuses_arrays(attack: Attack, which: str) -> None:
    model, inputs, labels = problem((3,))
    given: dict[str, Any] = {"inputs": inputs, "labels": labels}
    given[which] = given[which].numpy()
    with pytest.raises(ValueError, match=f"{which} are a ndarray; expected a torch tensor"):
        bare(attack)(model, **given)


def test_works_in_any_autograd_mode(attack: Attack) -> None:
    model, inputs, labels = problem((1, 4, 4))
    expected = attack(model, inputs, labels).adversarials
    with torch.no_grad():
        assert torch.equal(attack(model, inputs, labels).adversarials, expected)
    with torch.inference_mode():
        given = inputs.clone(), labels.clone()
        assert torch.equal(attack(model, *given).adversarials, expected)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert torch.equal(attack(model, inputs, labels).adversarials, expected)


def test_same_seed_same_result(attack: Attack) -> None:
    model, inputs, labels = problem((1, 4, 4))
    first, second = (
        attack(model, inputs, labels, generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(first.adversarials, second.adversarials)
    torch.manual_seed(123)
    default = attack(model, inputs, labels)
    torch.manual_seed(456)
    assert torch.equal(default.adversarials, attack(model, inputs, labels).adversarials)


@pytest.mark.parametrize("targeted", [False, True])
def test_what_is_already_adversarial_stays_as_it_is(attack: Attack, targeted: bool) -> None:
    model, inputs, labels = problem((1, 4, 4))
    given = labels if targeted else (labels + 1) % 5
    result = attack(model, inputs, given, targeted=targeted)
    assert result.success.all()
    assert result.distances.eq(0).all()
    assert torch.equal(result.adversarials, inputs)


class Constant(nn.Module):
    """Says the same of everything, with gradients that are zero or that there are none of."""

    def __init__(self, *, connected: bool) -> None:
        super().__init__()
        self.connected = connected

    def forward(self, inputs: Tensor) -> Tensor:
        logits = torch.tensor([2.0, 1.0, 0.0]).expand(len(inputs), 3)
        return logits + 0 * rows(inputs).sum(1, keepdim=True) if self.connected else logits


@pytest.mark.parametrize("connected", [False, True])
def test_the_impossible_fails_with_the_original(attack: Attack, connected: bool) -> None:
    inputs = torch.rand(4, 3)
    result = attack(Constant(connected=connected).eval(), inputs, torch.zeros(4, dtype=torch.int64))
    assert not result.success.any()
    assert result.distances.isinf().all()
    assert torch.equal(result.adversarials, inputs)


class Flat(nn.Module):
    """Class 0, with zero gradients, up to a sum of 2; beyond it class 1."""

    def forward(self, inputs: Tensor) -> Tensor:
        total = rows(inputs).sum(1)
        beyond = torch.relu(total - 2)
        return torch.stack([torch.full_like(total, 1e-3), beyond], dim=1)


def test_gets_away_from_zero_gradients(attack: Attack, case: Case) -> None:
    if not case.many_gradients:
        pytest.skip("has one gradient only")
    generator = torch.Generator().manual_seed(0)
    inputs = 0.6 + torch.rand(50, 3, generator=generator) * 0.06
    result = attack(Flat().eval(), inputs, torch.zeros(50, dtype=torch.int64), **case.patient)
    assert result.success.all()


class PoisonedBackward(torch.autograd.Function):
    """The identity; its gradient is NaN for the samples that are marked."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, poisoned: Tensor) -> Tensor:
        ctx.save_for_backward(poisoned)
        return inputs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (poisoned,) = ctx.saved_tensors
        return gradients[0].masked_fill(poisoned.unsqueeze(1), torch.nan), None


class Poisoned(nn.Module):
    """Gives NaN gradients on its first three evaluations, for the first two samples.

    Only on the whole batch: where some have left it, which ones are the first two is not known.
    """

    def __init__(self, model: nn.Module, batch: int) -> None:
        super().__init__()
        self.model = model
        self.batch = batch
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        whole = len(inputs) == self.batch
        poisoned = (torch.arange(len(inputs)) < 2) & (self.calls <= 3) & whole
        logits: Tensor = self.model(PoisonedBackward.apply(inputs, poisoned))
        return logits


def test_survives_nan_gradients(attack: Attack, case: Case, norm: Norm) -> None:
    if not case.many_gradients:
        pytest.skip("has one gradient only")
    model, inputs, labels = problem((20,))
    healthy = attack(model, inputs, labels)
    result = attack(Poisoned(model, len(inputs)).eval(), inputs, labels)
    assert torch.equal(result.adversarials[2:], healthy.adversarials[2:])
    assert result.success.all()
    # The box is 4.5 wide from corner to corner, in L2.
    slack = 1.0 if norm == "l2" else 0.3
    assert (result.distances[:2] < healthy.distances[:2] + slack).all()


class NotANumber(nn.Module):
    """Class 0 inside half of the box, NaN beyond."""

    def forward(self, inputs: Tensor) -> Tensor:
        total = rows(inputs).mean(1)
        logits = torch.stack([torch.ones_like(total), total], dim=1)
        return torch.where((total > 0.5).unsqueeze(1), torch.nan, logits)


def test_nan_logits_are_no_success(attack: Attack) -> None:
    inputs = torch.full((3, 4), 0.4)
    result = attack(NotANumber().eval(), inputs, torch.zeros(3, dtype=torch.int64))
    assert not result.success.any()
    assert result.adversarials.isfinite().all()


def test_saturated_logits_do_not_hide_the_boundary(attack: Attack, case: Case) -> None:
    model, inputs, labels = problem((20,), network=Linear)
    plain = attack(model, inputs, labels)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e4)
    saturated = attack(model, inputs, labels)
    assert torch.equal(saturated.success, plain.success)
    if case.ignores_scale and not takes(attack, "epsilon"):
        assert (saturated.distances[plain.success] < 1.05 * plain.distances[plain.success]).all()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 255.0), (-3.0, -2.5)])
def test_bounds_only_scale_the_problem(attack: Attack, low: float, high: float) -> None:
    model, inputs, labels = problem((1, 4, 4), dtype=torch.float64)
    width = high - low

    def scaled_model(scaled: Tensor) -> Tensor:
        logits: Tensor = model((scaled - low) / width)
        return logits

    plain = attack(model, inputs, labels)
    assert isinstance(attack, partial)
    radius = {"epsilon": attack.keywords["epsilon"] * width} if takes(attack, "epsilon") else {}
    scaled = attack(scaled_model, low + width * inputs, labels, bounds=(low, high), **radius)
    assert scaled.adversarials.min() >= low
    assert scaled.adversarials.max() <= high
    assert torch.allclose(scaled.distances, width * plain.distances, rtol=1e-6)


def test_a_shift_of_the_lower_bound_only_shifts_the_problem(attack: Attack) -> None:
    model, inputs, labels = problem((1, 4, 4), dtype=torch.float64)
    plain = attack(model, inputs, labels, bounds=(0.0, torch.inf))
    shifted = attack(lambda x: model(x - 3), inputs + 3, labels, bounds=(3.0, torch.inf))
    assert torch.allclose(shifted.distances, plain.distances, rtol=1e-6)


def test_infinite_bounds(attack: Attack, case: Case) -> None:
    model, inputs, _ = problem((20,), network=Linear)
    infinite = (-torch.inf, torch.inf)
    radius = {"epsilon": 50.0} if takes(attack, "epsilon") else {}
    labels = model(10 * inputs - 5).argmax(1)
    result = attack(model, 10 * inputs - 5, labels, bounds=infinite, **radius)
    assert result.success.all() or not case.many_gradients
    assert result.adversarials.isfinite().all()


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("classes", [2, 5])
def test_never_closer_than_the_optimum_of_a_linear_model(
    attack: Attack, norm: Norm, classes: int, targeted: bool
) -> None:
    model, inputs, labels = problem(
        (1, 4, 4), batch=20, classes=classes, dtype=torch.float64, network=Linear
    )
    labels = (labels + 1) % classes if targeted else labels
    result = attack(model, inputs, labels, targeted=targeted)
    for index in range(20):
        optimum = optimal_distance(
            model.weight.detach(),
            model.bias.detach(),
            inputs[index].flatten(),
            int(labels[index]),
            targeted=targeted,
            low=0.0,
            high=1.0,
            norm=norm,
        )
        assert float(result.distances[index]) >= optimum * (1 - 1e-9)


class Synchronisations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that make the host wait for the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waits = (
            *("_local_scalar_dense", "nonzero", "masked_select", "equal.default", "item"),
            *("unique", "allclose", "repeat_interleave.Tensor"),
        )
        indices = args[1] if "aten.index" in str(func) and len(args) > 1 else ()
        masked = isinstance(indices, list | tuple) and any(
            isinstance(index, Tensor) and index.dtype == torch.bool for index in indices
        )
        self.count += masked or any(name in str(func) for name in waits)
        return func(*args, **(kwargs or {}))


def test_seldom_waits_for_the_device(name: str, attack: Attack, case: Case) -> None:
    steps = effort(attack)
    if not steps or name == "lbfgs":
        pytest.skip("takes no number of steps, or runs on the host")
    model, inputs, labels = problem((1, 4, 4))
    searches = {"searches": 1} if takes(attack, "searches") else {}
    counts = []
    for number in (4, 200):
        with Synchronisations() as seen:
            attack(model, inputs, labels, **{steps: number}, **searches)
        counts.append(seen.count)
    assert counts[1] <= counts[0] + (50 if case.waits else 0)


@pytest.mark.parametrize("features", [2, 100])
def test_near_the_optimum_of_a_linear_model(
    attack: Attack, case: Case, norm: Norm, features: int
) -> None:
    model, inputs, labels = problem(
        (features,), batch=20, classes=2, dtype=torch.float64, network=Linear
    )
    result = attack(model, inputs, labels, **case.patient)
    assert result.success.all() or not case.many_gradients
    optima = torch.tensor(
        [
            optimal_distance(
                model.weight.detach(),
                model.bias.detach(),
                inputs[index],
                int(labels[index]),
                targeted=False,
                low=0.0,
                high=1.0,
                norm=norm,
            )
            for index in range(20)
        ],
        dtype=torch.float64,
    )
    ratios = (result.distances / optima)[result.success]
    assert (ratios >= 1 - 1e-9).all()
    assert takes(attack, "epsilon") or ratios.median() <= case.slack, f"{ratios.median():.3f}"


def test_starts_are_used_and_kept_when_they_are_best(attack: Attack) -> None:
    if not takes(attack, "starts"):
        pytest.skip("takes no starts")
    model, inputs, labels = problem((20,), network=Curved)
    first = attack(model, inputs, labels, **{effort(attack): 300})
    warm = attack(model, inputs, labels, **{effort(attack): 2}, starts=first.adversarials)
    assert (warm.distances <= first.distances).all()
    wrong = (labels + 1) % 5
    again = attack(model, inputs, wrong, **{effort(attack): 2}, starts=first.adversarials)
    assert again.distances.eq(0).all()


BAD: list[tuple[str, dict[str, Any]]] = [
    ("expected int64", {"labels": torch.zeros(8)}),
    ("expected int64", {"labels": torch.zeros(3, dtype=torch.int64)}),
    ("labels go from 9 to 9", {"labels": torch.full((8,), 9)}),
    ("outside the bounds", {"inputs": torch.full((8, 20), 1.5)}),
    ("NaN", {"inputs": torch.full((8, 20), torch.nan)}),
    ("floating", {"inputs": torch.zeros(8, 20, dtype=torch.int64)}),
    ("low < high", {"bounds": (1.0, 0.0)}),
]


@pytest.mark.parametrize(("message", "change"), BAD, ids=[message for message, _ in BAD])
def test_bad_input_is_refused(attack: Attack, message: str, change: dict[str, Any]) -> None:
    model, inputs, labels = problem((20,))
    given = {"inputs": inputs, "labels": labels, "bounds": (0.0, 1.0), **change}
    with pytest.raises(ValueError, match=message):
        bare(attack)(model, given["inputs"], given["labels"], bounds=given["bounds"])


def test_a_model_that_gives_no_logits_is_refused(attack: Attack) -> None:
    model, inputs, labels = problem((20,))
    with pytest.raises(ValueError, match="expected logits"):
        bare(attack)(lambda given: model(given)[:, :1], inputs, labels * 0)
