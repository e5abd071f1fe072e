"""Attacks on accelerated models: which classifier they use, and what their results are worth."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from attacks.agreement import check_agreement
from attacks.cases import GRADIENT_VARIANTS, QUERY_VARIANTS, attack_of
from attacks.networks import problem
from attacks.synchronizations import Synchronizations
from minnorm.acceleration import Accelerated, accelerate
from minnorm.attacks import Attack, ddn, fmn, normal_pursuit, with_bisection, worst_case
from minnorm.data import load_data
from minnorm.geometry import Norm, distances
from minnorm.logits import Model, margins
from minnorm.models import load_model

REPORTING = {
    "alma",
    "apgd",
    "apgd linf",
    "apgd_min_norm",
    "apgd_min_norm linf",
    "autoattack",
    "autoattack linf",
    "carlini_wagner",
    "ddn",
    "fmn",
    "fmn linf",
    "normal_pursuit",
    "pdgd",
    "pgd",
    "pgd linf",
}
"""The attacks that report their progress: the coarse classifier answers their early steps."""


ORDER = ("original", "exact", "coarse")


def _norm(variant: str) -> Norm:
    return "linf" if variant.endswith("linf") else "l2"


def _noting(model: Model, name: str, calls: list[str]) -> Model:
    """Return a model that notes its name with each call."""

    def classify(inputs: Tensor) -> Tensor:
        calls.append(name)
        return model(inputs)

    return classify


def _three(model: Model, calls: list[str]) -> Accelerated:
    """Return an accelerated model whose classifiers all compute the same, and note their calls."""
    original, exact, coarse = (_noting(model, name, calls) for name in ORDER)
    return Accelerated(original, exact, coarse, "by hand", ())


@pytest.mark.parametrize("name", QUERY_VARIANTS)
def test_attacks_without_gradients_use_the_original(name: str) -> None:
    model, inputs, labels = problem((1, 4, 4))
    calls: list[str] = []
    attack_of(name)(_three(model, calls), inputs, labels)
    assert set(calls) == {"original"}


@pytest.mark.parametrize("name", GRADIENT_VARIANTS)
def test_attacks_that_report_progress_use_the_coarse_classifier_and_all_end_with_the_original(
    name: str,
) -> None:
    model, inputs, labels = problem((1, 4, 4))
    calls: list[str] = []
    attack_of(name)(_three(model, calls), inputs, labels)
    counts = Counter(calls)
    assert (counts["coarse"] > 0) == (name in REPORTING)
    assert counts["exact"] > 0
    assert counts["original"] > 0
    assert calls[-1] == "original"


@pytest.mark.parametrize("attack", [ddn, fmn])
def test_the_exact_classifier_answers_first_and_last_and_the_original_confirms(
    attack: Callable[..., object],
) -> None:
    model, inputs, labels = problem((1, 4, 4))
    calls: list[str] = []
    attack(_three(model, calls), inputs, labels, steps=100)
    assert calls[0] == "exact"
    assert calls[-1] == "original"
    assert calls[-21:-1] == ["exact"] * 20
    assert calls.count("coarse") >= 70
    assert calls.count("original") == 1


@pytest.mark.parametrize(("number", "name"), list(enumerate(sorted(REPORTING))))
@pytest.mark.slow
def test_the_original_verifies_the_result_of_attacks_that_use_the_coarse_classifier(
    number: int, name: str
) -> None:
    targeted = number % 2 == 1
    attack = attack_of(name)
    model, inputs, labels = problem((1, 4, 4), batch=16)
    wanted = (labels + 1) % 5 if targeted else labels
    found = attack(accelerate(model, inputs, "bfloat16"), inputs, wanted, targeted=targeted)
    check_agreement(found, model, inputs, wanted, _norm(name), targeted=targeted)
    expected = attack(model, inputs, wanted, targeted=targeted)
    assert found.success.sum() >= expected.success.sum() - 1


@pytest.mark.slow
@pytest.mark.parametrize("attack", [ddn, fmn, normal_pursuit])
def test_distances_are_those_of_a_run_on_the_model_itself(attack: Attack) -> None:
    model = load_model("zoo:mnist-cnn")
    inputs, labels = load_data("mnist-sample[:20]").batch(range(20))
    measured = []
    for given in (model, accelerate(model, inputs, "narrow+bfloat16")):
        found = attack(given, inputs, labels)
        check_agreement(found, model, inputs, labels, "l2", targeted=False)
        assert found.success.all()
        measured.append(distances(found.adversarials, inputs))
    # A few images end nearer or farther away; one is misclassified from the start.
    assert abs(float((measured[1] / measured[0]).nanmedian()) - 1) < 0.002
    assert abs(float(measured[1].mean() / measured[0].mean()) - 1) < 0.03


def test_the_parts_of_a_combined_attack_use_the_accelerated_model_too() -> None:
    model, inputs, labels = problem((1, 4, 4), batch=16)
    fast = accelerate(model, inputs, "bfloat16")
    found = worst_case([ddn, fmn])(fast, inputs, labels)
    check_agreement(found, model, inputs, labels, "l2", targeted=False)
    parts = [attack(fast, inputs, labels) for attack in (ddn, fmn)]
    closest = torch.minimum(*(part.distances for part in parts))
    torch.testing.assert_close(found.distances, closest)


@pytest.mark.parametrize("attack", [ddn, fmn, normal_pursuit])
def test_a_coarse_classifier_that_calls_everything_adversarial_is_not_believed(
    attack: Attack,
) -> None:
    model, inputs, labels = problem((1, 4, 4))

    def lies(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits.roll(1, 1)

    found = attack(Accelerated(model, model, lies, "by hand", ()), inputs, labels)
    check_agreement(found, model, inputs, labels, "l2", targeted=False)


def test_fmn_forgets_what_the_coarse_classifier_called_adversarial() -> None:
    model, inputs, labels = problem((1, 4, 4))

    def lies(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits.roll(1, 1)

    found = fmn(Accelerated(model, model, lies, "by hand", ()), inputs, labels)
    # Otherwise the radii, which have shrunk to nearly nothing, would grow by 5 % a step at most.
    assert found.success.all()


@pytest.mark.parametrize("name", sorted(REPORTING))
@pytest.mark.slow
def test_a_coarse_classifier_that_errs_near_the_boundary_loses_no_success(name: str) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=32)
    with torch.no_grad():
        early = 0.3 * margins(model(inputs), labels).median()

    def coarse(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits - early * nn.functional.one_hot(logits.argmax(1), 5)

    attack = attack_of(name)
    expected = attack(model, inputs, labels)
    found = attack(Accelerated(model, model, coarse, "by hand", ()), inputs, labels)
    assert found.success.sum() >= expected.success.sum()


def test_adversarials_that_the_original_rejects_move_away_a_little() -> None:
    model, inputs, labels = problem((1, 4, 4))

    def exact(given: Tensor) -> Tensor:  # adversarial a little before the original is
        logits: Tensor = model(given)
        return logits - 1e-4 * nn.functional.one_hot(labels, 5)

    attack = with_bisection(ddn, bisections=25)
    claimed = attack(exact, inputs, labels)
    with torch.no_grad():
        assert not (model(claimed.adversarials).argmax(1) != labels).all()
    found = attack(Accelerated(model, exact, None, "by hand", ()), inputs, labels)
    check_agreement(found, model, inputs, labels, "l2", targeted=False)
    assert found.success.all()
    assert (found.distances <= claimed.distances * 1.002).all()


def test_on_levels_adversarials_that_the_original_rejects_move_by_a_level() -> None:
    model, inputs, labels = problem((1, 4, 4))
    inputs = (inputs * 255).round() / 255

    def exact(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits - 0.003 * nn.functional.one_hot(labels, 5)

    fast = Accelerated(model, exact, None, "by hand", ())
    found = ddn(fast, inputs, labels, levels=256)
    claimed = ddn(exact, inputs, labels, levels=256)
    with torch.no_grad():
        assert (model(claimed.adversarials).argmax(1) == labels).any()
    check_agreement(found, model, inputs, labels, "l2", targeted=False)
    assert found.success.all()
    assert torch.allclose(found.adversarials * 255, (found.adversarials * 255).round(), atol=1e-4)


def test_an_input_on_the_boundary_is_no_failure() -> None:
    model, inputs, labels = problem((1, 4, 4))
    with torch.no_grad():
        gaps = margins(model(inputs), labels)

    def lowered(by: float) -> Model:
        """Return the model with a margin of `-by` at each input."""

        def classify(given: Tensor) -> Tensor:
            logits: Tensor = model(given)
            return logits - (gaps + by)[:, None] * nn.functional.one_hot(labels, 5)

        return classify

    original, exact = lowered(-1e-5), lowered(1e-5)  # right and wrong by very little
    found = ddn(Accelerated(original, exact, None, "by hand", ()), inputs, labels)
    check_agreement(found, original, inputs, labels, "l2", targeted=False)
    assert found.success.all()
    assert (found.distances < 0.01).all()


@pytest.mark.parametrize("attack", [ddn, fmn])
def test_attacks_on_it_seldom_wait_for_the_device(attack: Callable[..., object]) -> None:
    model, inputs, labels = problem((1, 4, 4))
    other = nn.Sequential(model).eval()
    fast = Accelerated(nn.Sequential(model).eval(), other, model, "by hand", ())
    counts = []
    for steps in (10, 80):
        with Synchronizations() as seen:
            attack(fast, inputs, labels, steps=steps)
        counts.append(seen.count)
    assert counts[1] <= counts[0]
