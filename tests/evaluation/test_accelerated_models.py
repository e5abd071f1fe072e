"""Evaluations of accelerated models: what attacks are given, what is counted, and who judges."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from evaluation.record_tables import same
from minnorm.acceleration import Accelerated, accelerate
from minnorm.attacks import Attack, AttackResult, Model, ddn, fmn, worst_case
from minnorm.errors import RunConflictError
from minnorm.evaluation import evaluate, load_run
from minnorm.evaluation.running.judge import counting, run_and_judge


def test_the_calls_of_all_parts_are_counted() -> None:
    model, inputs, labels = problem((1, 4, 4))
    fast = accelerate(model, inputs, "bfloat16")
    counted, counts = counting(fast)
    ddn(counted, inputs, labels, steps=100)
    assert sum(part.backwards for part in counts) == 100 * len(inputs)
    assert len(counts) == 3
    assert all(part.forwards > 0 for part in counts)


def test_an_attack_without_the_marker_gets_the_original() -> None:
    model, inputs, labels = problem((1, 4, 4))
    fast = accelerate(model, inputs, "bfloat16")
    seen: list[object] = []

    def own(model: Model, inputs: Tensor, labels: Tensor, **options: object) -> AttackResult:
        seen.append(model)
        return ddn(model, inputs, labels, **options)  # type: ignore[arg-type]

    attacks: list[Attack] = [own, worst_case([own, fmn])]
    for attack in attacks:
        run_and_judge(
            "own", attack, fast, inputs, labels, targeted=False, bounds=(0.0, 1.0), seed=0
        )
    assert len(seen) == 2
    assert not any(isinstance(one, Accelerated) for one in seen)


def test_the_original_of_an_accelerated_model_judges() -> None:
    model, inputs, labels = problem((1, 4, 4))

    def wrong(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits.roll(1, 1)

    fast = Accelerated(model, wrong, None, "by hand", ())
    found, expected = (
        evaluate(one, (inputs, labels), "ddn(steps=8)", batch_size=20, accelerate="off").records
        for one in (fast, model)
    )
    assert same(found, expected)


def test_a_run_stores_its_techniques_and_repeats_them(tmp_path: Path) -> None:
    model, data, attack, out = "zoo:mnist-cnn", "mnist-sample[:8]", "ddn(steps=20)", tmp_path / "r"
    first = evaluate(model, data, attack, out=out, batch_size=3, accelerate="narrow+bfloat16")
    configuration = first.manifest["configuration"]
    assert configuration["acceleration"] == "narrow+bfloat16"
    assert configuration["batch_size"] == 3
    assert "narrow: yes (as requested)" in first.manifest["sessions"][0]["acceleration"]
    min((out / "records").iterdir()).unlink()
    again = evaluate(model, data, attack, out=out)
    assert again.manifest["configuration"] == configuration
    assert same(again.records, first.records)
    with pytest.raises(RunConflictError, match=r"acceleration: narrow\+bfloat16 there, off now"):
        evaluate(model, data, attack, out=out, accelerate="off")


@pytest.mark.parametrize("attack", ["ddn(steps=8)", "normal_pursuit(budget=20)"])
def test_halving_a_batch_that_does_not_fit_changes_no_result(attack: str) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=23)

    def small(given: Tensor) -> Tensor:
        if len(given) > 8 and given.requires_grad:
            raise torch.OutOfMemoryError
        logits: Tensor = model(given)
        return logits

    found, expected = (
        evaluate(one, (inputs, labels), attack, batch_size=20, accelerate="off").records
        for one in (small, model)
    )
    for name in ("index", "success", "adversarial_prediction", "forwards", "backwards", "l2"):
        assert found.column(name).to_pylist() == pytest.approx(expected.column(name).to_pylist())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from minnorm import evaluate; "
        "data = f'evaluation.tiny_models:many(images={sys.argv[1]})'; "
        "evaluate('evaluation.tiny_models:linear', data,"
        "'ddn(steps=1)', batch_size=100, out=sys.argv[2]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for images in (2_000, 40_000):
        done = subprocess.run(
            [sys.executable, "-c", code, str(images), f"{tmp_path}/{images}"],
            capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        peaks.append(int(done.stdout.split()[-1]))
        assert len(load_run(f"{tmp_path}/{images}").records) == images
    assert peaks[1] < 1.1 * peaks[0]
