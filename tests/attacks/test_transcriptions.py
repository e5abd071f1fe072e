"""Attacks against naive transcriptions of their papers: the same points, step by step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.cases import Attack, bare
from attacks.networks import Recorded, problem
from minnorm import attacks
from minnorm.attacks.search import search
from reference.alma import alma_of_one_sample
from reference.apgd import apgd_of_one_sample
from reference.carlini_wagner import carlini_wagner_of_one_sample
from reference.common import is_adversarial
from reference.deepfool import deepfool_of_one_sample
from reference.fab import fab_of_one_sample
from reference.fmn import fmn_of_one_sample
from reference.pdgd import pdgd_of_one_sample
from reference.pgd import pgd_of_one_sample
from reference.superdeepfool import superdeepfool_of_one_sample

SAMPLES = range(4)
both_aims = pytest.mark.parametrize("targeted", [False, True])
both_norms = pytest.mark.parametrize("norm", ["l2", "linf"])


def one_sample(index: int, *, targeted: bool) -> tuple[Callable[[Tensor], Tensor], Tensor, int]:
    """Gives a classifier of 5 classes, an input in double precision, and its label or target."""
    model, inputs, labels = problem((1, 4, 4), dtype=torch.float64)
    label = int(labels[index])
    return model, inputs[index], (label + 1) % 5 if targeted else label


def visited(
    attack: Attack, model: Callable[[Tensor], Tensor], x: Tensor, y: int, **arguments: Any
) -> tuple[list[Tensor], attacks.AttackResult]:
    """Runs an attack on one sample, and gives the points in the order in which it asked."""
    recorded = Recorded(model)
    result = attack(recorded, x[None], torch.tensor([y]), **arguments)
    return [point for batch in recorded.batches for point in batch], result


def check_same(found: list[Tensor], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    for step, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert torch.allclose(one, other, atol=1e-6), f"step {step}"


def check_closest(
    result: attacks.AttackResult,
    model: Callable[[Tensor], Tensor],
    expected: list[Tensor],
    x: Tensor,
    y: int,
    *,
    targeted: bool,
    norm: str = "l2",
) -> None:
    """Checks that the result is the closest adversarial of the points."""
    order = 2 if norm == "l2" else torch.inf
    lengths = [
        float((point - x).norm(p=order))
        for point in expected
        if is_adversarial(model, point, y, targeted=targeted)
    ]
    assert bool(result.success) == bool(lengths)
    assert float(result.distances) == pytest.approx(min(lengths, default=torch.inf), rel=1e-6)


@both_aims
@both_norms
@pytest.mark.parametrize("index", SAMPLES)
def test_pgd(index: int, norm: str, targeted: bool) -> None:
    model, x, y = one_sample(index, targeted=targeted)
    epsilon = 0.6 if norm == "l2" else 0.2
    settings: dict[str, Any] = {"norm": norm, "epsilon": epsilon, "steps": 12, "step_size": 0.1}
    expected = pgd_of_one_sample(model, x, y, targeted=targeted, **settings)
    found, result = visited(
        attacks.pgd, model, x, y, targeted=targeted, random_start=False, **settings
    )
    assert len(found) == len(expected) or result.success  # else it goes on to the end
    check_same(found, expected[: len(found)])
    check_closest(result, model, expected[: len(found)], x, y, targeted=targeted, norm=norm)


@both_aims
@both_norms
@pytest.mark.parametrize("index", SAMPLES)
def test_fgsm_is_one_long_step(index: int, norm: str, targeted: bool) -> None:
    model, x, y = one_sample(index, targeted=targeted)
    expected = pgd_of_one_sample(
        model, x, y, targeted=targeted, norm=norm, epsilon=0.3, steps=1, step_size=0.3
    )
    found, result = visited(attacks.fgsm, model, x, y, targeted=targeted, norm=norm, epsilon=0.3)
    check_same(found, expected)
    check_closest(result, model, expected, x, y, targeted=targeted, norm=norm)


@both_aims
@both_norms
@pytest.mark.parametrize("index", SAMPLES)
def test_fmn(index: int, norm: str, targeted: bool) -> None:
    model, x, y = one_sample(index, targeted=targeted)
    expected = fmn_of_one_sample(model, x, y, targeted=targeted, norm=norm, steps=30)
    found, result = visited(attacks.fmn, model, x, y, targeted=targeted, norm=norm, steps=30)
    check_same(found, expected)
    check_closest(result, model, expected, x, y, targeted=targeted, norm=norm)


@both_aims
@pytest.mark.parametrize("index", SAMPLES)
@pytest.mark.parametrize(
    ("attack", "transcription", "steps"),
    [(attacks.pdgd, pdgd_of_one_sample, 30), (attacks.alma, alma_of_one_sample, 35)],
    ids=["pdgd", "alma"],
)
def test_penalties(
    attack: Attack,
    transcription: Callable[..., list[Tensor]],
    steps: int,
    index: int,
    targeted: bool,
) -> None:
    model, x, y = one_sample(index, targeted=targeted)
    expected = transcription(model, x, y, targeted=targeted, steps=steps)
    found, result = visited(attack, model, x, y, targeted=targeted, steps=steps)
    check_same(found, expected)
    check_closest(result, model, expected, x, y, targeted=targeted)


@both_aims
@pytest.mark.parametrize("index", SAMPLES)
def test_carlini_wagner(index: int, targeted: bool) -> None:
    model, x, y = one_sample(index, targeted=targeted)
    settings: dict[str, Any] = {"searches": 5, "steps": 15, "step_size": 0.1}
    expected, constants = carlini_wagner_of_one_sample(model, x, y, targeted=targeted, **settings)
    found, result = visited(
        attacks.carlini_wagner, model, x, y, targeted=targeted, abort_early=False, **settings
    )
    check_same(found, expected)
    check_closest(result, model, expected, x, y, targeted=targeted)
    assert isinstance(result, attacks.CarliniWagnerResult)
    lengths = [float((point - x).norm()) for point in expected]
    hits = [is_adversarial(model, point, y, targeted=targeted) for point in expected]
    best = min(
        (number for number, hit in enumerate(hits) if hit), key=lengths.__getitem__, default=None
    )
    constant = float("inf") if best is None else constants[best]
    assert float(result.constants) == pytest.approx(constant)


@both_norms
@pytest.mark.parametrize("index", SAMPLES)
def test_deepfool(index: int, norm: str) -> None:
    model, x, y = one_sample(index, targeted=False)
    expected = deepfool_of_one_sample(model, x, y, norm=norm, steps=20)
    found, result = visited(attacks.deepfool, model, x, y, norm=norm, steps=20)
    # The attack looks only now and then whether all are across: then it asks about the end again.
    check_same(found[: len(expected)], expected)
    assert all(torch.equal(point, found[len(expected) - 1]) for point in found[len(expected) :])
    check_closest(result, model, expected, x, y, targeted=False, norm=norm)


@both_norms
@pytest.mark.parametrize("index", SAMPLES)
def test_fab(index: int, norm: str) -> None:
    model, x, y = one_sample(index, targeted=False)
    expected = fab_of_one_sample(model, x, y, norm=norm, steps=10)
    found, result = visited(attacks.fab, model, x, y, norm=norm, steps=10)
    # Besides the point that it judges it asks about each point from which it steps.
    check_same(found[2::2], expected)
    check_closest(result, model, expected, x, y, targeted=False, norm=norm)


@both_norms
@pytest.mark.parametrize("index", SAMPLES)
def test_apgd(index: int, norm: str) -> None:
    model, x, y = one_sample(index, targeted=False)
    epsilon = (
        0.05 if norm == "l2" else 0.005
    )  # so small that the sample does not leave before the end
    found, _ = visited(attacks.apgd, model, x, y, norm=norm, epsilon=epsilon, steps=40)
    expected = apgd_of_one_sample(model, x, y, found[1], norm=norm, epsilon=epsilon, steps=40)
    check_same(found[1:], expected)
    order = 2 if norm == "l2" else torch.inf
    assert all(float((point - x).norm(p=order)) <= epsilon + 1e-9 for point in found)


@pytest.mark.parametrize("index", SAMPLES)
def test_superdeepfool(index: int) -> None:
    model, x, y = one_sample(index, targeted=False)
    settings = {"steps": 5, "crossing_steps": 20}
    expected = superdeepfool_of_one_sample(model, x, y, **settings)
    found, _ = visited(attacks.superdeepfool, model, x, y, bisections=0, **settings)
    # Between them lie DeepFool's points.
    places = [min(range(len(found)), key=lambda i: float((found[i] - p).norm())) for p in expected]
    check_same([found[place] for place in places], expected)
    assert places == sorted(places)


def test_superdeepfool_ends_where_the_perturbation_is_parallel_to_the_normal() -> None:
    model, inputs, labels = problem((1, 4, 4), dtype=torch.float64)
    result = attacks.superdeepfool(model, inputs, labels)
    plain = attacks.deepfool(model, inputs, labels)
    assert result.success.all()
    assert result.distances.mean() < plain.distances.mean()
    with search(model, inputs, labels, targeted=False, bounds=(0.0, 1.0), generator=None) as state:
        visit = state.visit(result.adversarials)
        normals = -visit.pull_back(state.margin_direction(visit.logits))
    moves = result.adversarials - inputs
    inside = (result.adversarials > 0) & (result.adversarials < 1)
    cosines = torch.cosine_similarity((moves * inside).flatten(1), (normals * inside).flatten(1))
    assert cosines.median() > 0.95


@pytest.mark.parametrize("name", ["apgd", "apgd_min_norm"])
@pytest.mark.parametrize(
    ("classes", "loss"), [(2, "dlr"), (3, "targeted-dlr"), (2, "targeted-dlr")]
)
def test_a_ratio_of_too_few_classes_is_refused(name: str, classes: int, loss: str) -> None:
    model, inputs, labels = problem((5,), classes=classes)
    radius = {"epsilon": 1.0} if name == "apgd" else {}
    with pytest.raises(ValueError, match=f"needs at least .* classes, the model has {classes}"):
        bare(_partial(name))(model, inputs, labels, loss=loss, **radius)


@pytest.mark.parametrize(
    ("classes", "loss"), [(3, "dlr"), (4, "targeted-dlr"), (9, "targeted-dlr")]
)
def test_a_ratio_of_enough_classes_finds_what_the_cross_entropy_finds(
    classes: int, loss: str
) -> None:
    model, inputs, labels = problem((20,), classes=classes, dtype=torch.float64)
    plain = attacks.apgd_min_norm(model, inputs, labels, steps=20)
    ratio = attacks.apgd_min_norm(model, inputs, labels, steps=20, loss=loss)  # type: ignore[arg-type]
    assert ratio.success.all()
    assert (ratio.distances < 1.1 * plain.distances).all()


def test_a_targeted_attack_has_no_targets_of_its_own() -> None:
    model, inputs, labels = problem((5,))
    with pytest.raises(ValueError, match="a targeted attack takes 'dlr'"):
        attacks.apgd(model, inputs, labels, epsilon=1.0, targeted=True, loss="targeted-dlr")


def _partial(name: str) -> Attack:
    from functools import partial

    return partial(attacks.ATTACKS[name])
