"""`evaluate` from Python: what it takes, what it returns, and what it leaves alone."""

import inspect
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attacks.networks import Curved, problem
from evaluation.record_tables import same
from evaluation.small_runs import ATTACK, ATTACKS, DATA, MODEL, run
from evaluation.tiny_models import Centered
from minnorm.attacks import Attack, AttackResult, ddn, fmn, pgd, with_restarts
from minnorm.data import as_data, load_data
from minnorm.errors import InputError
from minnorm.evaluation import SCHEMA, evaluate, load_run
from minnorm.geometry import NORM_ORDERS

measure = partial(evaluate, accelerate="off", batch_size=20)


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


def test_a_row_holds_what_the_attack_and_the_model_give() -> None:
    model, inputs, _ = problem((3, 4), classes=4)
    labels = torch.tensor([0, 1, 2, 3] * 2)  # some right, some wrong
    records = measure(model, (inputs, labels), ATTACK).records
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


def mine(model: Any, inputs: Tensor, labels: Tensor, **given: Any) -> AttackResult:
    return ddn(model, inputs, labels, steps=3, **given)


def test_a_row_names_the_norm_that_the_attack_minimizes() -> None:
    attacks = [
        partial(fmn, steps=3),
        partial(fmn, steps=3, norm="linf"),
        with_restarts(partial(pgd, epsilon=0.1, steps=2, norm="linf"), 2),
        mine,
    ]
    records = measure(MODEL, DATA, attacks).records
    assert records.column("norm").to_pylist()[::12] == ["l2", "linf", "linf", "l2"]


class Pairs(torch.utils.data.Dataset[tuple[Tensor, int]]):
    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self.pairs = list(zip(inputs, labels.tolist(), strict=True))

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.pairs[index]


FORMS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "list of both": lambda inputs, labels: [inputs, labels],
    "arrays": lambda inputs, labels: (inputs.numpy(), labels.numpy()),
    "lists": lambda inputs, labels: (inputs.tolist(), labels.tolist()),
    "narrow labels": lambda inputs, labels: (inputs, labels.to(torch.uint8)),
    "Data": lambda inputs, labels: as_data((inputs, labels)),
    "data set": Pairs,
}


@pytest.mark.parametrize("form", list(FORMS))
def test_all_forms_of_data_give_the_same_records(form: str) -> None:
    model, inputs, labels = problem((2, 3))
    expected = measure(model, (inputs, labels), ATTACK).records
    assert same(measure(model, FORMS[form](inputs, labels), ATTACK).records, expected)


def test_several_attacks_follow_each_other_in_the_order_given() -> None:
    attacks: dict[str, str | Attack] = {
        "zebra": "ddn(steps=3)",
        "ant": partial(ddn, steps=4),
        "bee": partial(ddn, steps=2),
    }
    records = run(None, attacks=attacks).records
    assert records.column("attack").to_pylist() == [name for name in attacks for _ in range(12)]
    assert records.column("index").to_pylist() == 3 * list(range(12))
    assert [records.column("backwards")[n].as_py() for n in (0, 12, 24)] == [3, 4, 2]


def test_a_function_can_be_the_model() -> None:
    model, inputs, labels = problem((5,))
    expected = measure(model, (inputs, labels), ATTACK).records

    def function(batch: Tensor) -> Tensor:
        logits: Tensor = model(batch)
        return logits

    evaluation = measure(function, (inputs, labels), ATTACK)
    assert same(evaluation.records, expected)
    assert evaluation.manifest["configuration"]["model"] == "function"


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
    evaluation = evaluate(watched, (inputs.float(), labels), ATTACK)
    assert seen == {torch.float64}
    found = ddn(model, inputs.float().double(), labels, steps=5)
    assert found.distances.dtype == torch.float64
    assert evaluation.records.column("l2").to_pylist() == found.distances.tolist()
    assert evaluation.manifest["configuration"]["dtype"] == "torch.float64"


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
    gradient = model.get_parameter("1.weight").grad
    assert gradient is not None
    assert torch.equal(gradients["1.weight"], gradient)
    assert [part.training for part in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]
    assert torch.equal(images, given)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_in_any_autograd_mode_of_the_caller(mode: Callable[[], Any]) -> None:
    expected = measure(MODEL, DATA, ATTACK).records
    with mode():
        found = measure(MODEL, DATA, ATTACK).records
    assert same(found, expected)


def test_warnings_stay_with_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(Centered(), nn.Softmax(1)).eval()
    kept = measure(model, DATA, ATTACK, out=tmp_path / "run")
    assert "look like probabilities" in kept.warnings[0]
    assert kept.warnings[0] in caplog.text
    assert load_run(tmp_path / "run").doubts == kept.doubts
    in_memory = measure(model, DATA, ATTACK)
    assert in_memory.warnings == kept.warnings
    assert in_memory.manifest["doubts"] == [asdict(doubt) for doubt in kept.doubts]
    assert measure(MODEL, DATA, ATTACK).warnings == ()


def test_records_depend_on_the_seed_alone() -> None:
    runs = [measure(MODEL, DATA, ATTACK, targets="random:1", seed=s).records for s in (5, 5, 6)]
    assert same(runs[0], runs[1])
    assert not runs[0].column("target").equals(runs[2].column("target"))


def test_a_run_in_memory_has_the_records_and_the_configuration_of_one_on_disk(
    finished: Path,
) -> None:
    expected, found = load_run(finished), run(None)
    assert same(found.records, expected.records)
    assert found.directory is None
    assert expected.directory == finished
    for key in ("format", "configuration", "classes", "doubts"):
        assert found.manifest[key] == expected.manifest[key]


def test_numbers_of_numpy_are_accepted(tmp_path: Path) -> None:
    # The bare function: in these tests its types are checked before.
    bare, given = inspect.unwrap(evaluate), {"seed": np.int64(3), "batch_size": np.int64(5)}
    bare(MODEL, DATA, ATTACK, out=tmp_path / "run", accelerate="off", **given)
    configuration = load_run(tmp_path / "run").manifest["configuration"]
    assert {name: configuration[name] for name in given} == given


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": []}, "no attack was given: name at least one"),
        ({"data": 3}, "cannot use int as data"),
        ({"batch_size": 0}, "batch_size=0: expected a whole number of at least 1"),
        ({"accelerate": "fast"}, "accelerate='fast': expected "),
        ({"targets": "most-likely"}, "targets='most-likely': expected 'all'"),
        ({"targets": "random:10"}, "the model has 10 classes; expected at most random:9"),
        ({"bounds": (1.0, 0.0)}, "expected .low, high. with low < high"),
        ({"bounds": (0.25, 1.0)}, "mnist-sample holds 8-bit values"),
        ({"bounds": (0.0, torch.inf)}, "mnist-sample holds 8-bit values"),
        ({"device": "banana"}, "cannot use the device 'banana'"),
        ({"seed": -1}, "seed=-1: expected a whole number of at least 0"),
        ({"model": nn.Dropout()}, "the model is in training mode"),
    ],
)  # fmt: skip
def test_an_argument_that_cannot_be_used_is_refused(changes: dict[str, Any], message: str) -> None:
    arguments = {"model": MODEL, "data": DATA, "attacks": ATTACKS, **changes}
    with pytest.raises(InputError, match=message):
        inspect.unwrap(evaluate)(**arguments)
