"""The default attack by access: which attack it runs, on what, and what it warns of."""

import inspect
import warnings
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from attacks.networks import problem
from minnorm.access import ACCESSES, Access, allows
from minnorm.attacks import ATTACKS, ENTRIES, attack, attack_name
from minnorm.attacks.contract import BEST_ATTACKS
from minnorm.attacks.default import best_attack
from minnorm.errors import InputError
from minnorm.evaluation.running.judge import CountingModel
from minnorm.geometry import Norm, distances
from minnorm.models import predict_only

NORMS: list[Norm] = ["l2", "linf"]


def quietly(model: Any, *given: Any, **settings: Any) -> Any:
    """Attack, and fail if there is a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return attack(model, *given, **settings)


def offering(model: nn.Module, access: Access) -> nn.Module:
    """Return the model behind an interface that offers less."""
    if access == "scores":
        return predict_only(lambda inputs: model(inputs).detach(), arrays=False)
    return predict_only(
        lambda inputs: model(inputs).argmax(1), outputs="classes", classes=5, arrays=False
    )


def test_there_is_a_best_attack_for_each_access_and_norm() -> None:
    assert list(BEST_ATTACKS) == list(ACCESSES)
    for access, names in BEST_ATTACKS.items():
        assert list(names) == NORMS
        for norm, name in names.items():
            assert allows(access, ENTRIES[name].access)
            assert norm in ENTRIES[name].norms
            assert ENTRIES[name].goal == "closest"


@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("norm", NORMS)
def test_runs_the_best_attack_for_the_access_that_is_given(access: Access, norm: Norm) -> None:
    model, inputs, labels = problem((1, 4, 4))
    name = BEST_ATTACKS[access][norm]
    found = quietly(model, inputs, labels, access=access, norm=norm, budget=60)
    budget = {"steps" if name == "fmn" else "budget": 60}
    norms = {} if name == "normal_pursuit" else {"norm": norm}
    expected = ATTACKS[name](model, inputs, labels, **budget, **norms)
    assert torch.equal(found.adversarials, expected.adversarials)
    assert found.success.all()
    assert torch.allclose(found.distances, distances(found.adversarials, inputs, norm))


@pytest.mark.parametrize("access", ["scores", "decisions"])
def test_a_model_that_only_predicts_is_attacked_by_what_it_offers(access: Access) -> None:
    model, inputs, labels = problem((20,))
    expected = quietly(model, inputs, labels, access=access, budget=60)
    found = quietly(offering(model, access), inputs, labels, budget=60)
    assert torch.equal(found.adversarials, expected.adversarials)


@pytest.mark.parametrize("access", ["scores", "decisions"])
def test_a_budget_without_gradients_counts_queries(access: Access) -> None:
    model, inputs, labels = problem((20,), batch=12)
    counted = CountingModel(model)
    quietly(counted, inputs, labels, access=access, budget=60)
    assert counted.backwards == 0
    # The logits of eight samples twice, and those of the adversarials once.
    assert 50 * 12 <= counted.forwards <= 60 * 12 + 2 * 8 + 12


def test_the_defaults_are_a_hundred_gradients_or_a_thousand_queries() -> None:
    defaults = {"gradients": 100, "scores": 1000, "decisions": 1000}
    for access, names in BEST_ATTACKS.items():
        for name in names.values():
            short = "steps" if name == "fmn" else "budget"
            parameters = inspect.signature(ENTRIES[name].function).parameters
            assert parameters[short].default == defaults[access]


def test_a_model_that_offers_less_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    model, inputs, labels = problem((20,))
    decided = offering(model, "decisions")
    for access in ("gradients", "scores"):
        message = (
            rf"access='{access}'\) needs {access}, but the model predict_only\(<lambda>\) offers "
        )
        with pytest.raises(InputError, match=f"{message}decisions only. Use {_best('decisions')}"):
            attack(decided, inputs, labels, access=access)
    wrong: list[tuple[str, dict[str, Any]]] = [
        (r"access='labels'.*decisions", {"access": "labels"}),
        ("norm", {"norm": "l1"}),
        *(("budget", {"access": "decisions", "budget": budget}) for budget in (0, 1.5, "many")),
    ]
    for message, settings in wrong:
        with pytest.raises(InputError, match=message):
            attack(model, inputs, labels, **settings)


def _best(access: Access) -> str:
    return BEST_ATTACKS[access]["l2"]


def test_the_name_says_what_was_chosen() -> None:
    assert attack_name(best_attack("decisions", "linf", 50)) == (
        f"{BEST_ATTACKS['decisions']['linf']}(norm='linf', budget=50)"
    )


def test_missing_gradients_are_no_doubt_without_gradients() -> None:
    model, inputs, labels = problem((20,))
    for access in ("scores", "decisions"):
        quietly(lambda points: model(points).detach(), inputs, labels, access=access, budget=40)


def test_probabilities_are_a_doubt_about_scores_but_not_about_decisions() -> None:
    model, inputs, labels = problem((20,))

    def predict_proba(points: Any) -> Any:
        return model(torch.from_numpy(points)).softmax(1).detach()

    with pytest.warns(UserWarning, match=r"look like probabilities.*outputs='probabilities'"):
        attack(predict_only(predict_proba), inputs, labels, budget=40)
    quietly(predict_only(predict_proba, "probabilities"), inputs, labels, budget=40)
    quietly(predict_only(predict_proba), inputs, labels, access="decisions", budget=40)


@pytest.mark.parametrize("access", ["scores", "decisions"])
def test_randomness_and_nan_are_doubts_without_gradients_as_well(access: Access) -> None:
    model, inputs, labels = problem((20,))
    generator = torch.Generator().manual_seed(0)

    def random(points: Tensor) -> Tensor:
        logits: Tensor = model(points)
        return logits + torch.randn(logits.shape, generator=generator)

    with pytest.warns(UserWarning, match="different logits for the same inputs"):
        attack(random, inputs, labels, access=access, budget=20)
    with pytest.warns(UserWarning, match="logits are NaN"):
        attack(lambda points: model(points) * torch.nan, inputs, labels, access=access, budget=20)


def test_random_decisions_are_noticed_by_what_was_found() -> None:
    model, inputs, labels = problem((20,), batch=30)
    generator = torch.Generator().manual_seed(0)

    def random(points: Tensor) -> Tensor:  # only near the decision boundary
        logits: Tensor = model(points)
        return logits + 0.02 * logits.std() * torch.randn(logits.shape, generator=generator)

    noisy = offering(_Module(random), "decisions")
    with pytest.warns(UserWarning, match="adversarials are not adversarial when the model"):
        attack(noisy, inputs, labels, budget=200)


class _Module(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.function(inputs)
        return logits


@pytest.mark.parametrize("access", ["scores", "decisions"])
def test_starts_are_improved(access: Access) -> None:
    model, inputs, labels = problem((20,))
    first = quietly(model, inputs, labels, access="gradients", budget=30)
    found = quietly(model, inputs, labels, access=access, budget=60, starts=first.adversarials)
    assert (found.distances <= first.distances * (1 + 1e-3)).all()
