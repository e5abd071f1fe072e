"""The runner: what a unit is, what its records and adversarials hold, and what stops it."""

import logging
import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from evaluation.record_tables import same
from evaluation.small_runs import configuration
from minnorm.acceleration import Accelerated
from minnorm.attacks import Attack, AttackResult, Model, carlini_wagner, ddn
from minnorm.boxes import Bounds
from minnorm.data import as_data
from minnorm.errors import InputError, OutOfMemoryError
from minnorm.evaluation import SCHEMA
from minnorm.evaluation.running.restrictions import Restrictions
from minnorm.evaluation.running.runner import Runner
from minnorm.evaluation.store.units import Unit

TWO_ATTACKS: dict[str, Attack] = {"three": partial(ddn, steps=3), "two": partial(ddn, steps=2)}


def runner(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    attacks: dict[str, Attack] | None = None,
    *,
    adversarials: bool = False,
    bounds: Bounds = (0.0, 1.0),
    **changes: Any,
) -> Runner:
    """Return a runner of an unaccelerated model."""
    return Runner(
        Accelerated(model, model, None, "off", ()),
        as_data((inputs, labels)),
        attacks or {"ddn": partial(ddn, steps=5)},
        configuration(**changes),
        adversarials,
        Restrictions(bounds),
    )


def test_the_units_are_the_batches_and_for_each_the_attacks_in_order() -> None:
    model, inputs, labels = problem((5,), batch=12)
    results = dict(runner(model, inputs, labels, TWO_ATTACKS, batch_size=5).results(set(), None))
    assert list(results) == [Unit(batch, attack) for batch in range(3) for attack in range(2)]
    for (batch, attack), (records, kept) in results.items():
        assert records.schema.equals(SCHEMA)
        assert records.column("index").to_pylist() == list(range(12))[5 * batch : 5 * batch + 5]
        assert set(records.column("attack").to_pylist()) == {list(TWO_ATTACKS)[attack]}
        assert kept is None


def test_the_records_of_all_units_are_attack_by_attack() -> None:
    model, inputs, labels = problem((5,), batch=12)
    records = runner(model, inputs, labels, TWO_ATTACKS, batch_size=5).records(None)
    assert records.column("attack").to_pylist() == 12 * ["three"] + 12 * ["two"]
    assert records.column("index").to_pylist() == 2 * list(range(12))
    assert [records.column("backwards")[n].as_py() for n in (0, 12)] == [3, 2]


def test_finished_units_are_left_out_and_their_batches_not_read() -> None:
    model, inputs, labels = problem((5,), batch=12)
    inputs[0] = torch.nan  # reading the first batch would raise
    finished = {Unit(0, 0), Unit(0, 1), Unit(1, 1)}
    seen: list[tuple[int, ...]] = []
    results = runner(model, inputs, labels, TWO_ATTACKS, batch_size=5).results(
        finished, lambda *numbers: seen.append(numbers)
    )
    assert [unit for unit, _ in results] == [Unit(1, 0), Unit(2, 0), Unit(2, 1)]
    assert seen[0] == (3, 6, 0)
    assert seen[-1] == (6, 6, 3 + 3 + 2)


def test_progress_counts_units_and_gradients() -> None:
    model, inputs, labels = problem((5,), batch=12)
    seen: list[tuple[int, ...]] = []
    runner(model, inputs, labels, TWO_ATTACKS, batch_size=5).records(
        lambda *numbers: seen.append(numbers)
    )
    assert seen[0] == (0, 6, 0)
    finished = [numbers for before, numbers in pairwise([(-1,), *seen]) if numbers[0] != before[0]]
    assert finished == [(n, 6, g) for n, g in enumerate([0, 3, 5, 8, 10, 13, 15])]
    assert [gradients for *_, gradients in seen] == sorted(gradients for *_, gradients in seen)
    assert {gradients for *_, gradients in seen} == set(range(16))


def test_adversarials_are_those_of_the_records() -> None:
    model, inputs, labels = problem((3, 4), batch=6)
    [(_, (records, kept))] = runner(model, inputs, labels, adversarials=True, batch_size=6).results(
        set(), None
    )
    assert kept is not None
    assert set(kept.adversarials) == {"index", "adversarials"}
    assert set(kept.inputs) == {"index", "inputs"}
    for tensors in kept:
        assert tensors["index"].tolist() == list(range(6))
    assert torch.equal(kept.inputs["inputs"], inputs)
    [points] = kept.adversarials["adversarials"]
    lengths = (points - inputs).flatten(1).norm(dim=1)
    assert np.allclose(records.column("l2").to_numpy(), lengths.numpy())
    with torch.no_grad():
        classes = model(points).argmax(1)
    assert records.column("adversarial_prediction").to_pylist() == classes.tolist()


def test_targeted_adversarials_have_their_targets() -> None:
    model, inputs, labels = problem((3, 4), classes=4, batch=6)
    [(_, (records, kept))] = runner(
        model, inputs, labels, adversarials=True, batch_size=6, targets="all"
    ).results(set(), None)
    assert kept is not None
    adversarials = kept.adversarials
    assert adversarials["adversarials"].shape == (3, 6, 3, 4)
    assert records.column("target").to_pylist() == adversarials["targets"].flatten().tolist()
    reached = records.column("success").to_numpy()
    with torch.no_grad():
        classes = model(adversarials["adversarials"].flatten(0, 1)).argmax(1)
    assert reached.any()
    assert torch.equal(classes[reached], adversarials["targets"].flatten()[reached])


def test_targeted_records_name_their_targets_and_success_means_reaching_them() -> None:
    model, inputs, labels = problem((3, 4), classes=4)
    attacks: dict[str, Attack] = {"ddn": partial(ddn, steps=20)}
    records = runner(model, inputs, labels, attacks, targets="all").records(None)
    rows = records.to_pylist()
    assert len(rows) == 8 * 3
    for row in rows:
        assert row["target"] != row["label"]
        assert row["success"] == (row["adversarial_prediction"] == row["target"])
        assert row["success"] == math.isfinite(row["l2"])
    assert len({(row["index"], row["target"]) for row in rows}) == 24


@pytest.mark.parametrize("targets", [None, "all", "least-likely", "random:2"])
def test_records_do_not_depend_on_the_batch_size(targets: str | None) -> None:
    model, inputs, labels = problem((3, 4), classes=4, batch=11)
    whole = runner(model, inputs, labels, targets=targets, batch_size=128).records(None)
    order = [("index", "ascending"), ("target", "ascending")]
    expected = whole.sort_by(order)
    for size in (1, 4, 11):
        parts = runner(model, inputs, labels, targets=targets, batch_size=size).records(None)
        found = parts.sort_by(order)
        for column in SCHEMA.names:
            if column in ("l0", "l1", "l2", "linf", "gray_l2"):
                assert np.allclose(
                    found.column(column).to_numpy(), expected.column(column).to_numpy(), rtol=1e-4
                ), column
            elif column != "seconds":
                assert found.column(column).equals(expected.column(column)), column


def test_gray_is_the_middle_of_the_bounds() -> None:
    model, inputs, labels = problem((6,))
    records = runner(model, 4 * inputs - 1, labels, bounds=(-1.0, 3.0)).records(None)
    expected = (4 * inputs - 2).norm(dim=1)
    assert np.allclose(records.column("gray_l2").to_numpy(), expected.numpy())


def test_bad_samples_stop_a_run_at_their_batch() -> None:
    model, inputs, labels = problem((6,), batch=12)
    inputs[9, 0] = torch.nan
    results = runner(model, inputs, labels, batch_size=4).results(set(), None)
    assert [next(results)[0].batch for _ in range(2)] == [0, 1]
    with pytest.raises(InputError, match="data, samples 8 to 11: inputs hold NaN"):
        next(results)


@pytest.mark.parametrize("error", [KeyError("lost"), ValueError("lost"), AssertionError("lost")])
def test_an_error_of_the_model_names_the_attack(error: Exception) -> None:
    model, inputs, labels = problem((6,))
    calls = 0

    def failing(given: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise error
        logits: Tensor = model(given)
        return logits

    message = rf"^ddn: the attack or the model raised {type(error).__name__}: .*lost"
    with pytest.raises(InputError, match=message) as caught:
        runner(failing, inputs, labels).records(None)
    assert caught.value.__cause__ is error


def test_a_message_about_bad_input_is_kept() -> None:
    model, inputs, labels = problem((6,))

    def refusing(*_: Any, **__: Any) -> AttackResult:
        raise InputError("steps=0: expected more")

    with pytest.raises(InputError, match=r"^steps=0: expected more$"):
        runner(model, inputs, labels, {"mine": refusing}).records(None)


class Small:
    """A classifier that has memory for the gradients of a few samples only."""

    def __init__(self, most: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        self.model = problem((1, 4, 4))[0]
        self.most = most
        self.error = error
        self.sizes: list[int] = []

    def __call__(self, inputs: Tensor) -> Tensor:
        if inputs.requires_grad:
            self.sizes.append(len(inputs))
            if len(inputs) > self.most:
                raise self.error("DefaultCPUAllocator: can't allocate memory")
        logits: Tensor = self.model(inputs)
        return logits


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_a_batch_that_does_not_fit_is_halved_and_stays_so(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    _, inputs, labels = problem((1, 4, 4), batch=23)
    attacks: dict[str, Attack] = {"ddn": partial(ddn, steps=1)}
    make: Callable[[Small], Runner] = lambda model: runner(  # noqa: E731
        model, inputs, labels, attacks, batch_size=20, adversarials=True
    )
    small = Small(8, error)
    with caplog.at_level(logging.WARNING):
        found = [result for _, result in make(small).results(set(), None)]
    expected = [result for _, result in make(Small(100)).results(set(), None)]
    for (records, kept), (same_records, same_kept) in zip(found, expected, strict=True):
        assert same(records, same_records)
        assert kept is not None
        assert same_kept is not None
        points, same_points = kept.adversarials, same_kept.adversarials
        assert torch.equal(points["adversarials"], same_points["adversarials"])
    assert small.sizes == [20, 10, 5, 5, 5, 5, 3]
    assert "10 samples at once from now on" in caplog.text
    assert "5 samples at once from now on" in caplog.text


def test_an_odd_batch_is_halved_upwards() -> None:
    _, inputs, labels = problem((1, 4, 4), batch=7)
    small = Small(3)
    attacks: dict[str, Attack] = {"ddn": partial(ddn, steps=1)}
    runner(small, inputs, labels, attacks, batch_size=7).records(None)
    assert small.sizes == [7, 4, 2, 2, 2, 1]


def test_a_single_sample_that_does_not_fit_stops_a_run() -> None:
    _, inputs, labels = problem((1, 4, 4))
    message = "^ddn: there is not enough memory for a single sample"
    with pytest.raises(OutOfMemoryError, match=message):
        runner(Small(0), inputs, labels).records(None)


def test_each_attack_and_batch_gets_the_same_generator_and_the_bounds() -> None:
    model, inputs, labels = problem((4,))
    seen: list[tuple[int, Any, Any, float]] = []

    def attack(model: Model, inputs: Tensor, labels: Tensor, /, **given: Any) -> AttackResult:
        assert not given["targeted"]
        drawn = float(torch.rand(1, generator=given["generator"]))
        seen.append((given["generator"].initial_seed(), given["bounds"], len(inputs), drawn))
        given["generator"].manual_seed(7)
        return ddn(model, inputs, labels, steps=1, **given)

    runner(
        model, inputs, labels, {"a": attack, "b": attack}, seed=7, bounds=(-1.0, 2.0), batch_size=5
    ).records(None)
    drawn = float(torch.rand(1, generator=torch.Generator().manual_seed(7)))
    assert seen == [(7, (-1.0, 2.0), size, drawn) for size in (5, 5, 3, 3)]


def test_records_of_carlini_wagner_have_its_constants_and_those_of_other_attacks_none() -> None:
    model, inputs, labels = problem((5,), batch=6)
    wrong = labels.clone()
    wrong[0] = (labels[0] + 1) % 2
    attack = partial(carlini_wagner, searches=3, steps=20)
    attacks: dict[str, Attack] = {"cw": attack, "ddn": partial(ddn, steps=2)}
    running = runner(model, inputs, wrong, attacks, batch_size=6)
    (_, (records, _)), (_, (others, _)) = running.results(set(), None)
    found = attack(model, inputs, wrong, bounds=(0.0, 1.0))
    assert torch.tensor(records.column("constant").to_pylist()).equal(found.constants.double())
    assert records.column("constant")[0].as_py() == 0.0
    assert others.column("constant").null_count == len(others)
    parts = runner(model, inputs, wrong, attacks, batch_size=6)
    parts._fitting = 4  # as after a batch that did not fit into memory
    (_, (joined, _)), _ = parts.results(set(), None)
    assert joined.column("constant").equals(records.column("constant"))
