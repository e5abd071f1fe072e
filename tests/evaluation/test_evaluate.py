"""`evaluate` from Python: what it takes, what it gives, and what it leaves alone."""

import inspect
import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attacks.networks import Curved, problem
from evaluation.tiny_models import Centred
from minnorm.attacks import (
    Attack,
    AttackResult,
    bounded,
    ddn,
    fmn,
    load_attack,
    pgd,
    with_bisection,
    with_restarts,
)
from minnorm.data import load_data
from minnorm.evaluation import SCHEMA, Evaluation, Records, evaluate, load_run
from minnorm.geometry import NORM_ORDERS

MODEL = "evaluation.tiny_models:linear"
DATA = "mnist-sample[:12]"
ATTACK = "ddn(steps=5)"


def same(found: Records, expected: Records) -> bool:
    """Whether two tables of records are equal in all columns but the seconds."""
    return bool(found.drop_columns(["seconds"]).equals(expected.drop_columns(["seconds"])))


def test_specs_give_a_row_for_each_sample() -> None:
    evaluation = evaluate(MODEL, DATA, ATTACK)
    records = evaluation.records
    _, labels = load_data(DATA).batch(range(12))
    assert records.schema.equals(SCHEMA)
    assert records.column("index").to_pylist() == list(range(12))
    assert records.column("label").to_pylist() == labels.tolist()
    assert records.column("target").to_pylist() == [None] * 12
    assert set(records.column("attack").to_pylist()) == {ATTACK}
    assert evaluation.directory is None
    assert evaluation.manifest["configuration"]["acceleration"] == "off"
    assert evaluation.manifest["sessions"][0]["versions"]


def test_a_row_says_what_one_sees_by_hand() -> None:
    model, inputs, _ = problem((3, 4), classes=4)
    labels = torch.tensor([0, 1, 2, 3] * 2)  # some right, some wrong
    records = evaluate(model, (inputs, labels), ATTACK).records
    found = ddn(model, inputs, labels, steps=5)
    with torch.no_grad():
        clean, adversarial = model(inputs).argmax(1), model(found.adversarials).argmax(1)
    assert records.column("clean_prediction").to_pylist() == clean.tolist()
    assert records.column("adversarial_prediction").to_pylist() == adversarial.tolist()
    assert records.column("success").to_pylist() == found.success.tolist()
    assert np.allclose(records.column("l2").to_numpy(), found.distances.numpy())
    for norm in NORM_ORDERS:
        finite = np.isfinite(records.column(norm).to_numpy())
        assert (finite == found.success.numpy()).all()
    gray = (inputs - 0.5).flatten(1).norm(dim=1)
    assert np.allclose(records.column("gray_l2").to_numpy(), gray.numpy())
    assert (clean == labels).any()
    wrong = (clean != labels).numpy()
    assert wrong.any()
    assert (records.column("l2").to_numpy()[wrong] == 0).all()


def test_a_row_says_which_norm_the_attack_minimises() -> None:
    attacks = [
        partial(fmn, steps=3),
        partial(fmn, steps=3, norm="linf"),
        with_restarts(partial(pgd, epsilon=0.1, steps=2, norm="linf"), 2),
        mine,
    ]
    records = evaluate(MODEL, DATA, attacks).records
    assert records.column("norm").to_pylist()[::12] == ["l2", "linf", "linf", "l2"]


def mine(model: Any, inputs: Tensor, labels: Tensor, **given: Any) -> AttackResult:
    return ddn(model, inputs, labels, steps=3, **given)


@pytest.mark.parametrize(
    "attack",
    [partial(ddn, targeted=True), with_bisection(partial(ddn, targeted=True))],
    ids=["partial", "combined"],
)
def test_what_the_evaluation_gives_cannot_be_set_beforehand(attack: Attack) -> None:
    with pytest.raises(ValueError, match=r"^ddn: targeted cannot be set .* targets='all'"):
        evaluate(MODEL, DATA, attack)
    with pytest.raises(ValueError, match=r"^ddn: bounds cannot be set .*gives it\.$"):
        evaluate(MODEL, DATA, partial(ddn, bounds=(0.0, 2.0)))


def test_gray_is_the_middle_of_the_bounds() -> None:
    model, inputs, labels = problem((6,))
    records = evaluate(model, (4 * inputs - 1, labels), ATTACK, bounds=(-1.0, 3.0)).records
    expected = (4 * inputs - 2).norm(dim=1)
    assert np.allclose(records.column("gray_l2").to_numpy(), expected.numpy())


def _forms() -> dict[str, Callable[[Tensor, Tensor], Any]]:
    class Pairs(torch.utils.data.Dataset[tuple[Tensor, int]]):
        def __init__(self, inputs: Tensor, labels: Tensor) -> None:
            self.pairs = list(zip(inputs, labels.tolist(), strict=True))

        def __len__(self) -> int:
            return len(self.pairs)

        def __getitem__(self, index: int) -> tuple[Tensor, int]:
            return self.pairs[index]

    from minnorm.data import as_data

    return {
        "tensors": lambda inputs, labels: (inputs, labels),
        "list of both": lambda inputs, labels: [inputs, labels],
        "arrays": lambda inputs, labels: (inputs.numpy(), labels.numpy()),
        "lists": lambda inputs, labels: (inputs.tolist(), labels.tolist()),
        "narrow labels": lambda inputs, labels: (inputs, labels.to(torch.uint8)),
        "Data": lambda inputs, labels: as_data((inputs, labels)),
        "data set": Pairs,
    }


@pytest.mark.parametrize("form", list(_forms()))
def test_the_forms_of_data_give_the_same_records(form: str) -> None:
    model, inputs, labels = problem((2, 3))
    expected = evaluate(model, (inputs, labels), ATTACK).records
    assert same(evaluate(model, _forms()[form](inputs, labels), ATTACK).records, expected)


@pytest.mark.parametrize(
    "attacks",
    [
        ATTACK,
        [ATTACK],
        (ATTACK,),
        partial(ddn, steps=5),
        [partial(ddn, steps=5)],
        {ATTACK: ATTACK},
        {ATTACK: partial(ddn, steps=5)},
        load_attack(ATTACK),
    ],
    ids=["spec", "list", "tuple", "partial", "partials", "named spec", "named partial", "loaded"],
)
def test_the_forms_of_an_attack_give_the_same_records(attacks: Any) -> None:
    expected = evaluate(MODEL, DATA, ATTACK).records
    assert same(evaluate(MODEL, DATA, attacks).records, expected)


def test_several_attacks_come_one_after_the_other_in_the_order_given() -> None:
    attacks: dict[str, str | Attack] = {
        "zebra": "ddn(steps=3)",
        "ant": ddn,
        "bee": partial(ddn, steps=2),
    }
    records = evaluate(MODEL, DATA, attacks, batch_size=5).records
    assert records.column("attack").to_pylist() == [name for name in attacks for _ in range(12)]
    assert records.column("index").to_pylist() == 3 * list(range(12))
    assert [records.column("backwards")[n].as_py() for n in (0, 12, 24)] == [3, 100, 2]


def test_a_model_given_as_a_function_is_a_model() -> None:
    model, inputs, labels = problem((5,))
    expected = evaluate(model, (inputs, labels), ATTACK).records

    def function(batch: Tensor) -> Tensor:
        logits: Tensor = model(batch)
        return logits

    found = evaluate(function, (inputs, labels), ATTACK).records
    assert same(found, expected)


@pytest.mark.parametrize("targets", [None, "all", "least-likely", "random:2"])
def test_records_do_not_depend_on_the_batch_size(targets: str | None) -> None:
    model, inputs, labels = problem((3, 4), classes=4, batch=11)
    # A busy machine may find another technique faster each time.
    measure = partial(evaluate, model, (inputs, labels), ATTACK, targets=targets, accelerate="off")
    whole = measure(batch_size=128).records
    for size in (1, 4, 11):
        parts = measure(batch_size=size).records
        order = [("index", "ascending"), ("target", "ascending")]
        found, expected = parts.sort_by(order), whole.sort_by(order)
        for column in SCHEMA.names:
            if column in ("l0", "l1", "l2", "linf", "gray_l2"):
                assert np.allclose(
                    found.column(column).to_numpy(), expected.column(column).to_numpy(), rtol=1e-4
                ), column
            elif column != "seconds":
                assert found.column(column).equals(expected.column(column)), column


def test_targeted_records_name_their_targets_and_success_means_reaching_them() -> None:
    model, inputs, labels = problem((3, 4), classes=4)
    records = evaluate(model, (inputs, labels), "ddn(steps=20)", targets="all").records
    assert len(records) == 8 * 3
    for row in records.to_pylist():
        assert row["target"] != row["label"]
        assert row["success"] == (row["adversarial_prediction"] == row["target"])
        assert row["success"] == math.isfinite(row["l2"])
    assert len({(row["index"], row["target"]) for row in records.to_pylist()}) == 24


def test_a_slice_keeps_the_positions_in_the_whole_set() -> None:
    records = evaluate(MODEL, "mnist-sample[100:130:10]", ATTACK, batch_size=2).records
    assert records.column("index").to_pylist() == [100, 110, 120]
    _, labels = load_data("mnist-sample").batch([100, 110, 120])
    assert records.column("label").to_pylist() == labels.tolist()


def test_a_float64_model_is_attacked_in_float64() -> None:
    model, inputs, labels = problem((3, 4), dtype=torch.float64)
    seen: set[torch.dtype] = set()

    class Watched(Curved):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.add(inputs.dtype)
            return super().forward(inputs)

    watched = Watched(12, 5).to(torch.float64).eval()
    narrow = evaluate(watched, (inputs.float(), labels), ATTACK).records
    assert seen == {torch.float64}
    found = ddn(model, inputs.float().double(), labels, steps=5)
    assert found.distances.dtype == torch.float64
    assert narrow.column("l2").to_pylist() == found.distances.tolist()


def test_nothing_of_the_model_or_of_global_state_changes() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Dropout(0.5), nn.BatchNorm1d(10))
    model.eval()
    torch.autograd.backward(model.get_parameter("1.weight").square().sum())
    state = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    modes = [part.training for part in model.modules()]
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    torch.manual_seed(3)
    np.random.seed(3)
    before = (torch.get_rng_state(), repr(np.random.get_state()))
    images, labels = load_data(DATA).batch(range(12))
    given = images.clone()

    evaluate(model, (images, labels), ATTACK, targets="random:2", batch_size=5)

    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"1.weight"}
    assert torch.equal(gradients["1.weight"], model.get_parameter("1.weight").grad)  # type: ignore[arg-type] # it is there
    assert [part.training for part in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]
    assert torch.equal(images, given)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_in_any_autograd_mode_of_the_caller(mode: Callable[[], Any]) -> None:
    expected = evaluate(MODEL, DATA, ATTACK).records
    with mode():
        found = evaluate(MODEL, DATA, ATTACK).records
    assert same(found, expected)


def test_progress_counts_the_units() -> None:
    seen: list[tuple[int, ...]] = []
    evaluate(
        MODEL,
        DATA,
        ["ddn(steps=3)", "ddn(steps=2)"],
        batch_size=5,
        on_progress=lambda *numbers: seen.append(numbers),
    )
    finished = [numbers for before, numbers in pairwise([(-1,), *seen]) if numbers[0] != before[0]]
    assert finished == [(n, 6, g) for n, g in enumerate([0, 3, 5, 8, 10, 13, 15])]
    assert [gradients for *_, gradients in seen] == sorted(gradients for *_, gradients in seen)
    assert {gradients for *_, gradients in seen} == set(range(16))


def test_warnings_stay_with_the_run(tmp_path: Path) -> None:
    model = nn.Sequential(Centred(), nn.Softmax(1)).eval()
    kept = evaluate(model, DATA, ATTACK, out=tmp_path / "run")
    assert "look like probabilities" in kept.warnings[0]
    assert load_run(tmp_path / "run").warnings == kept.warnings
    assert evaluate(model, DATA, ATTACK).warnings == kept.warnings
    assert evaluate(MODEL, DATA, ATTACK).warnings == ()


def test_the_same_seed_gives_the_same_records_and_another_one_other_targets() -> None:
    runs = [evaluate(MODEL, DATA, ATTACK, targets="random:1", seed=s).records for s in (5, 5, 6)]
    assert same(runs[0], runs[1])
    assert not runs[0].column("target").equals(runs[2].column("target"))


def _evaluate(*arguments: Any, **named: Any) -> Evaluation:
    """Calls it as users do, whose annotations nobody checks."""
    result = inspect.unwrap(evaluate)(*arguments, **named)
    assert isinstance(result, Evaluation)
    return result


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": []}, "no attack was given: name at least one"),
        ({"attacks": [ATTACK, ATTACK]}, "two of the attacks are the same"),
        ({"attacks": [partial(ddn, steps=5), ATTACK]}, "two of the attacks are the same"),
        ({"attacks": "dnn"}, "Did you mean 'ddn'"),
        ({"attacks": None}, "None is no attack: give a function"),
        ({"attacks": [ddn, 5]}, "5 is no attack: give a function"),
        ({"attacks": {"mine": None}}, "None is no attack: give a function"),
        ({"attacks": partial(ddn, starts=torch.zeros(1))}, "starts belong to the inputs"),
        ({"attacks": bounded}, "combinators are called first"),
        ({"attacks": partial(ddn, torch.relu)}, "too many positional arguments"),
        ({"attacks": "fmn(norm='L2')"}, "norm='L2': expected one of l0, l1, l2, linf"),
        ({"data": 3}, "cannot use int as data: give a spec"),
        ({"batch_size": 0}, "batch_size=0: expected a whole number of at least 1"),
        ({"batch_size": 2.0}, r"batch_size=2\.0: expected a whole number"),
        ({"batch_size": True}, "batch_size=True: expected a whole number"),
        ({"targets": "most-likely"}, "targets='most-likely': expected 'all'"),
        ({"targets": "random:10"}, "the model has 10 classes, so 9 others"),
        ({"bounds": (1.0, 0.0)}, "expected .low, high., two numbers with low < high"),
        ({"bounds": (0.25, 1.0)}, "inputs go from 0 to 1, outside the bounds"),
        ({"device": "banana"}, "cannot use the device 'banana'"),
        ({"seed": -1, "targets": "random:1"}, "seed=-1"),
        ({"seed": 2**70}, f"seed={2**70}"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(changes: dict[str, Any], message: str) -> None:
    arguments = {"model": MODEL, "data": DATA, "attacks": ATTACK, **changes}
    with pytest.raises(ValueError, match=message):
        _evaluate(**arguments)


def test_a_model_elsewhere_than_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot use the device 'meta' .* This machine has: cpu"):
        evaluate(Centred().eval(), DATA, ATTACK, device="meta")


def test_a_model_where_it_was_asked_for_is_taken() -> None:
    images, labels = load_data(DATA).batch(range(12))
    expected = evaluate(Centred().eval(), (images, labels), ATTACK).records
    for device in ("cpu", "cpu:0", torch.device("cpu")):
        found = evaluate(Centred().eval(), (images, labels), ATTACK, device=device).records
        assert same(found, expected)


class Noisy(Centred):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) + torch.randn(len(inputs), 10)


class Mixed(Centred):
    def forward(self, inputs: Tensor) -> Tensor:
        logits = super().forward(inputs)
        return logits - logits.mean(0)


class Picky(Centred):
    def forward(self, inputs: Tensor) -> Tensor:
        if len(inputs) == 1:
            raise RuntimeError("expected 8 samples")
        return super().forward(inputs)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Dropout(), Centred()), "in training mode: call model.eval.. first"),
        (Noisy().eval(), "answers the same inputs differently each time"),
        (Mixed().eval(), "differently when others are in its batch"),
        (Picky().eval(), "takes a batch of 8 but not of 1 .RuntimeError: expected 8 samples."),
        (nn.Linear(3, 2).eval(), r"cannot take inputs of shape \[8, 1, 28, 28\]"),
    ],
    ids=["training", "random", "batch", "static", "shape"],
)
def test_a_model_that_cannot_be_evaluated_is_refused(model: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(model, DATA, ATTACK)


def test_samples_that_cannot_be_used_are_named_by_batch() -> None:
    images, labels = load_data(DATA).batch(range(12))
    images[9, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="data, samples 8 to 11: inputs hold NaN"):
        evaluate(MODEL, (images, labels), ATTACK, batch_size=4)


def test_what_a_model_raises_late_is_told() -> None:
    model, inputs, labels = problem((1, 4, 4))
    asked = 0

    def failing(given: Tensor) -> Tensor:
        nonlocal asked
        asked += 1
        if asked > 20:
            raise KeyError("lost")
        logits: Tensor = model(given)
        return logits

    message = r"^ddn.*: the attack, or the model that it asked, raised KeyError: 'lost'"
    with pytest.raises(ValueError, match=message):
        evaluate(failing, (inputs, labels), "ddn(steps=50)")
