"""The contract of side effects: samples are independent, and nothing that is given changes."""

import copy

import pytest
import torch
from torch import nn

from attacks.cases import DEVICE_VARIANTS, VARIANTS, Attack, Case, effort, takes
from attacks.hard_models import Flat
from attacks.networks import problem
from attacks.synchronizations import Synchronizations

every_attack = pytest.mark.parametrize("name", VARIANTS)


@every_attack
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.slow
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


@every_attack
def test_order_does_not_matter_without_gradients(attack: Attack) -> None:
    model = Flat().double().eval()
    inputs = torch.rand(3, 3, generator=torch.Generator().manual_seed(0)).double() / 3
    labels = torch.zeros(3, dtype=torch.int64)
    whole = attack(model, inputs, labels)
    single = [attack(model, inputs[i : i + 1], labels[:1]) for i in range(3)]
    assert torch.equal(torch.cat([one.adversarials for one in single]), whole.adversarials)


@every_attack
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


@every_attack
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


@every_attack
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


@every_attack
@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout()], ids=["norm", "dropout"])
def test_refuses_layers_in_training_mode(attack: Attack, layer: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(3, 3), layer).train()
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=r"training mode.*: call model.eval\(\) first"):
        attack(model, torch.rand(2, 3), torch.tensor([0, 1]))
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", DEVICE_VARIANTS)
@pytest.mark.parametrize("levels", [None, 256])
@pytest.mark.slow
def test_seldom_waits_for_the_device(attack: Attack, case: Case, levels: int | None) -> None:
    model, inputs, labels = problem((1, 4, 4))
    searches = {"searches": 1} if takes(attack, "searches") else {}
    counts = []
    for number in (4, 100):
        with Synchronizations() as seen:
            attack(model, inputs, labels, levels=levels, **{effort(attack): number}, **searches)
        counts.append(seen.count)
    # Of 100 gradients, two more are checked than of 4: whether they are lost at the bounds.
    assert counts[1] <= counts[0] + (40 if case.waits else 2)
