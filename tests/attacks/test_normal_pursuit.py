"""Normal pursuit: its budget, how near it comes, and what it does where rays lead nowhere."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from attacks.cases import Attack
from attacks.networks import Curved, Linear, problem
from minnorm import load_data, load_model
from minnorm.attacks import ddn, normal_pursuit
from minnorm.attacks._normal_pursuit import FORWARD_COST, plan
from minnorm.attacks.rays import Pursuit, Ray
from minnorm.attacks.search import search
from minnorm.evaluation.judge import CountingModel
from minnorm.schedules import cosine
from reference.linear import optimal_distance

BUDGETS = [2, 3, 5, 8, 10, 17, 20, 30, 50, 100, 149, 150, 300, 1000]


def median(distances: Tensor) -> float:
    return float(distances.median())


def spent(model: CountingModel, samples: int) -> float:
    """Gives the cost of a sample, in gradients."""
    forwards, backwards = model.forwards / samples, model.backwards / samples
    return FORWARD_COST * forwards + (1 - FORWARD_COST) * backwards


@pytest.mark.parametrize("budget", BUDGETS)
def test_spends_its_budget_and_no_more(budget: int) -> None:
    model, inputs, labels = problem((1, 4, 4), classes=12)
    counting = CountingModel(model)
    normal_pursuit(counting, inputs, labels, budget=budget, drop_finished=False)
    cost = spent(counting, len(inputs))
    assert cost <= budget + 1e-6
    assert cost >= budget - max(3, 0.1 * budget)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_near_the_optimum_among_many_classes(classes: int) -> None:
    model, inputs, labels = problem(
        (30,), batch=40, classes=classes, dtype=torch.float64, network=Linear
    )
    result = normal_pursuit(model, inputs, labels)
    optima = torch.tensor(
        [
            optimal_distance(
                model.weight.detach(),
                model.bias.detach(),
                one,
                int(label),
                targeted=False,
                low=0.0,
                high=1.0,
            )
            for one, label in zip(inputs, labels, strict=True)
        ]
    )
    ratios = result.distances / optima
    assert ratios.min() >= 1 - 1e-6
    assert ratios.max() <= 1.01


def _hidden_class(points: Tensor) -> Tensor:
    """Logits of five classes: three are likely and far from the first, the last is near and not."""
    likely = 0.5 + 0.25 * (points[:, :3] - 0.5)
    unlikely = -4 + 10 * (points[:, 3:4] - 0.5)
    return torch.cat([torch.ones_like(unlikely), likely, unlikely], 1)


def test_from_150_on_rays_go_to_unlikely_classes_too() -> None:
    inputs = torch.full((1, 100), 0.5, dtype=torch.float64)
    found = [
        float(
            normal_pursuit(
                _hidden_class, inputs, torch.tensor([0]), budget=budget, bounds=(-9.0, 9.0)
            ).distances
        )
        for budget in (149, 150)
    ]
    assert found == [pytest.approx(2.0, rel=0.01), pytest.approx(0.5, rel=0.01)]


@pytest.mark.parametrize("loyal", [True, False])
def test_a_loyal_ray_goes_on_to_the_boundary_of_its_class(loyal: bool) -> None:
    # The boundary of the second class is at distance 1, that of the third at 2, and its ray begins
    # beyond both.
    def logits(points: Tensor) -> Tensor:
        one, other = points[:, 0] - 1, 3 * (0.6 * points[:, 0] + 0.8 * points[:, 1] - 2)
        return torch.stack([torch.zeros_like(one), one, other], 1)

    inputs, labels = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([0])
    with search(
        logits, inputs, labels, targeted=False, bounds=(-9.0, 9.0), generator=None
    ) as state:
        pursuit = Pursuit(state, levels=None)
        (ray,) = (one for one in pursuit.first_rays(inputs, 2) if int(one.rivals) == 2)
        ray = ray._replace(lengths=1.2 * ray.lengths)
        for _ in range(12):
            ray = pursuit.turned(ray, 0.8, loyal=loyal)
    direction, length = ([0.6, 0.8], 2.0) if loyal else ([1.0, 0.0], 1.0)
    assert ray.directions[0].tolist() == pytest.approx(direction, abs=1e-3)
    assert float(ray.lengths) * 18 == pytest.approx(length, rel=0.01)


def test_the_early_rounds_keep_a_share_and_the_loyal_ones_their_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[tuple[float, bool]] = []
    turned = Pursuit.turned

    def noted(pursuit: Pursuit, ray: Ray, share: float, *, loyal: bool = False) -> Ray:
        steps.append((share, loyal))
        return turned(pursuit, ray, share, loyal=loyal)

    monkeypatch.setattr(Pursuit, "turned", noted)
    model, inputs, labels = problem((20,), classes=12)
    normal_pursuit(model, inputs, labels, budget=300, drop_finished=False)
    tournaments = plan(300, others=11)
    expected = []
    for number, tournament in enumerate(tournaments):
        for size, length in tournament.rounds[:-1]:
            expected += [(0.8, number == 1)] * size * length
        size, length = tournament.rounds[-1]
        shares = cosine(0.7, 0.1, length)
        expected += [(share, False) for share in shares for _ in range(size)]
    assert steps == expected


def test_a_start_that_is_no_adversarial_takes_no_place_of_a_ray() -> None:
    model, inputs, labels = problem((20,), batch=40)
    plain = normal_pursuit(model, inputs, labels, budget=30)
    started = normal_pursuit(model, inputs, labels, budget=30, starts=inputs)
    assert torch.equal(started.adversarials, plain.adversarials)


def test_ddn_goes_on_where_ripples_mislead_the_rays() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(size, generator=generator) for size in ((30, 40), (40, 5))]

    def rippled(points: Tensor) -> Tensor:
        logits = (points @ weights[0]).relu() @ weights[1] / 8
        return logits + 0.02 * torch.sin(1e4 * points[:, :5])

    inputs = torch.rand(60, 30, generator=generator)
    labels = rippled(inputs).argmax(1)
    assert normal_pursuit(rippled, inputs, labels).success.float().mean() >= 0.9


def test_finished_samples_leave_and_lose_next_to_nothing() -> None:
    model, inputs, labels = problem((20,), batch=30)
    costs, results = [], []
    for drop_finished in (False, True):
        counting = CountingModel(model)
        results.append(
            normal_pursuit(counting, inputs, labels, budget=1000, drop_finished=drop_finished)
        )
        costs.append(spent(counting, len(inputs)))
    assert costs[1] < 0.5 * costs[0]
    assert (results[1].distances <= 1.002 * results[0].distances).all()


@pytest.mark.parametrize("drop_finished", [False, True])
def test_a_long_search_does_not_depend_on_the_batch(drop_finished: bool) -> None:
    model, inputs, labels = problem((20,), batch=6, dtype=torch.float64, network=Curved)

    def run(chosen: slice) -> Tensor:
        return normal_pursuit(
            model, inputs[chosen], labels[chosen], budget=450, drop_finished=drop_finished
        ).adversarials

    parts = torch.cat([run(slice(0, 1)), run(slice(1, 4)), run(slice(4, 6))])
    assert torch.allclose(run(slice(None)), parts, atol=1e-9)


def test_more_budget_is_no_worse_where_there_are_many_boundaries() -> None:
    model, inputs, labels = problem((40,), batch=60, classes=10, scale=12.0)
    means = [
        float(normal_pursuit(model, inputs, labels, budget=budget).distances.mean())
        for budget in (10, 100, 1000)
    ]
    assert means[0] >= means[1] >= means[2]


def test_reaches_adversarials_that_need_entries_at_their_bounds() -> None:
    weights = torch.ones(100, dtype=torch.float64)
    weights[:10] = 30
    inputs = torch.zeros(1, 100, dtype=torch.float64)
    inputs[:, :10] = 1  # the heavy entries cannot rise any more
    weight = torch.stack([torch.zeros_like(weights), weights])
    bias = torch.tensor([0.0, -320.0], dtype=torch.float64)
    result = normal_pursuit(
        lambda points: points @ weight.T + bias, inputs, torch.tensor([0]), budget=10
    )
    optimum = optimal_distance(weight, bias, inputs[0], 0, targeted=False, low=0.0, high=1.0)
    assert 1 - 1e-6 <= float(result.distances) / optimum <= 1.002


def test_targeted_it_finds_what_ddn_finds() -> None:
    model = load_model("zoo:mnist-cnn")
    images, _ = load_data("mnist-sample[:20]").batch(range(20))
    with torch.no_grad():
        least_likely = model(images).argmin(1)
    result = normal_pursuit(model, images, least_likely, targeted=True)
    reference = ddn(model, images, least_likely, targeted=True, steps=100)
    assert result.success.all()
    assert result.distances.mean() < 1.01 * reference.distances.mean()


def flat(points: Tensor) -> Tensor:
    """Logits without any gradient: of the second class are the points that are bright."""
    rows = points.flatten(1)
    bright = (rows.mean(1) > 0.62).to(points.dtype)
    return torch.stack([0.5 + 0 * rows.sum(1), bright], 1)


@pytest.mark.parametrize("budget", [30, 100, 1000])
def test_ddn_goes_on_with_the_budget_where_there_are_no_gradients(budget: int) -> None:
    inputs = 0.2 + 0.2 * torch.rand(20, 60, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(20, dtype=torch.int64)
    result = normal_pursuit(flat, inputs, labels, budget=budget)
    shorter = ddn(flat, inputs, labels, steps=int(0.8 * budget))
    assert int(result.success.sum()) >= int(shorter.success.sum())
    if budget > 30:
        assert result.success.all()
        assert median(result.distances) <= 1.1 * median(shorter.distances)


def test_what_is_not_found_is_not_given_up() -> None:
    model, inputs, _ = problem((10,), batch=40)
    labels = torch.zeros(40, dtype=torch.int64)

    def never(points: Tensor) -> Tensor:
        # Rays come ever nearer to a margin of 0.1, so that DDN does not take over.
        margin = nn.functional.softplus(model(points)[:, 0], beta=5) + 0.1
        return torch.stack([margin, 0 * margin], 1)

    inputs = inputs[model(inputs)[:, 0] > 0.3]
    labels = labels[: len(inputs)]
    counting = CountingModel(never)
    result = normal_pursuit(counting, inputs, labels, budget=600)
    assert not result.success.any()
    assert spent(counting, len(inputs)) > 500


def test_a_hidden_boundary_does_not_make_rays_creep() -> None:
    model, inputs, labels = problem((3, 8, 8), classes=2, batch=60, dtype=torch.bfloat16)
    reference = ddn(model, inputs, labels).distances
    assert (normal_pursuit(model, inputs, labels).distances <= 1.5 * reference).all()

    model, inputs, labels = problem((3, 8, 8), batch=60)

    def rounded(points: Tensor) -> Tensor:
        logits: Tensor = model(points)
        return logits + (logits.round() - logits).detach()

    labels = rounded(inputs).argmax(1)
    assert normal_pursuit(rounded, inputs, labels, budget=30).success.all()


def test_two_rescues_do_not_depend_on_the_batch() -> None:
    # Half of the samples are flat, the others slope a little, to nowhere: they are rescued after
    # them, and this second rescue must not know of the first one.
    inputs = 0.2 + 0.2 * torch.rand(8, 61, generator=torch.Generator().manual_seed(1)).double()
    inputs[:4, -1], inputs[4:, -1] = 0.95, 0.05

    def slopes(points: Tensor) -> Tensor:
        mean = points[:, :-1].mean(1)
        rise = torch.where(points[:, -1] > 0.5, 0.06 * points[:, 0].clamp_max(0.5), 0 * mean)
        bright = 3 * (mean > 0.62).to(points.dtype)
        return torch.stack([torch.ones_like(mean) + 0 * points.sum(1), rise + bright], 1)

    labels = torch.zeros(8, dtype=torch.int64)

    def run(chosen: slice) -> Tensor:
        return normal_pursuit(slopes, inputs[chosen], labels[chosen], budget=200).distances

    whole = run(slice(None))
    assert whole[:4].isfinite().any()
    assert whole[4:].isfinite().any()
    assert torch.allclose(whole, torch.cat([run(slice(i, i + 1)) for i in range(8)]))


@pytest.mark.parametrize(
    "attack",
    [partial(normal_pursuit, budget=budget) for budget in (10, 100, 300)] + [partial(ddn, steps=9)],
    ids=["10", "100", "300", "ddn"],
)
@pytest.mark.parametrize("levels", [4, 256])
def test_levels_put_every_result_on_the_grid(attack: Attack, levels: int) -> None:
    model, inputs, labels = problem((20,), batch=40)
    starts = torch.rand(40, 20, generator=torch.Generator().manual_seed(0))
    result = attack(model, inputs, labels, levels=levels, starts=starts)
    found = result.adversarials[result.success] * (levels - 1)
    assert result.success.float().mean() > 0.9
    assert (found - found.round()).abs().max() < 1e-3


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_starts_at_the_inputs_do_no_harm(noise: float) -> None:
    model, inputs, labels = problem((20,), batch=40)
    starts = (inputs + noise * torch.ones_like(inputs)).clamp(0, 1)
    started = normal_pursuit(model, inputs, labels, budget=10, starts=starts)
    plain = normal_pursuit(model, inputs, labels, budget=10)
    assert torch.equal(started.success, plain.success)
    # The nearest sample is at 0.001: rounding moves its boundary by more than a thousandth of that.
    assert (started.distances <= 1.001 * plain.distances + 1e-5).all()


def test_a_good_start_is_kept_and_improved() -> None:
    model, inputs, labels = problem((20,), batch=40)
    starts = ddn(model, inputs, labels, steps=30).adversarials
    result = normal_pursuit(model, inputs, labels, budget=10, starts=starts)
    before = (starts - inputs).norm(dim=1)
    assert (result.distances <= before * (1 + 1e-6)).all()
    assert result.distances.mean() < 0.99 * before.mean()
