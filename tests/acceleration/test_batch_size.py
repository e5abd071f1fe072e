"""The batch size: as many as pay, as many as fit, and fewer where that was too many."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from evaluation.test_evaluate import same
from minnorm import runtime
from minnorm.acceleration import Accelerated, batch_size, choose_batch_size, is_out_of_memory
from minnorm.evaluation import evaluate, load_run


def sizes_tried(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> list[int]:
    tried: list[int] = []

    def measured(model: object, example: Tensor, size: int) -> float:  # noqa: ARG001
        tried.append(size)
        return seconds[size]

    monkeypatch.setattr(batch_size, "_seconds", measured)
    return tried


@pytest.mark.parametrize(
    ("seconds", "most", "expected"),
    [
        ({32: 1e-3, 64: 1e-3, 128: 1e-3, 256: 2e-3}, 1000, 128),  # more bring nothing beyond 128
        ({32: 1e-3, 64: 3e-3}, 1000, 32),
        ({32: 1e-3, 64: 1e-3}, 100, 64),  # there are no more
        ({32: 3.0}, 1000, 32),  # slow
        ({7: 1e-3}, 7, 7),
        ({32: 1e-3, 64: float("inf")}, 1000, 32),  # does not fit
        ({32: float("inf"), 16: float("inf"), 8: 1e-3}, 1000, 8),
        ({32: float("inf"), 16: 1e-3}, 1000, 16),  # 32 is known not to fit
        ({2: float("inf"), 1: float("inf")}, 2, 1),
    ],
)
def test_it_grows_as_long_as_that_pays(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], most: int, expected: int
) -> None:
    model, inputs, _ = problem((1, 4, 4))
    tried = sizes_tried(monkeypatch, seconds)
    assert choose_batch_size(model, inputs, most=most, memory=1e9) == expected
    assert tried == list(seconds)


def test_it_keeps_within_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs, _ = problem((1, 4, 4))
    sizes_tried(monkeypatch, dict.fromkeys((1, 10, 32, 64), 1e-3))
    state = batch_size._STATE * 16 * 4
    assert state < batch_size._bytes_per_sample(model, inputs[:1]) < 2 * state
    one = batch_size._bytes_per_sample(model, inputs[:1])
    for memory, expected in ((0, 1), (10.5 * one, 10), (70 * one, 64)):
        assert choose_batch_size(model, inputs, most=1000, memory=memory) == expected


def test_it_measures_real_gradients() -> None:
    model, inputs, _ = problem((1, 4, 4))
    backwards = []

    def counted(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        if logits.requires_grad:
            backwards.append(len(given))
        return logits

    chosen = choose_batch_size(counted, inputs, most=5000, memory=1e9)
    assert {1, 2, 32} <= set(backwards)
    assert chosen in backwards


def test_a_model_without_gradients_is_evaluated_with_a_warning() -> None:
    model, inputs, labels = problem((1, 4, 4))
    found = evaluate(lambda given: model(given).detach(), (inputs, labels), "ddn(steps=5)")
    assert any("gradient" in warning for warning in found.warnings)
    assert len(found.records) == len(inputs)


def test_the_exact_part_has_to_fit_and_the_coarse_one_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, inputs, _ = problem((1, 4, 4))

    def greedy(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits + 0 * given.repeat(1, 100, 1, 1).square().mean((1, 2, 3))[:, None]

    measured: list[object] = []

    def seconds(model: object, example: Tensor, size: int) -> float:  # noqa: ARG001
        measured.append(model)
        return 1e-3

    monkeypatch.setattr(batch_size, "_seconds", seconds)
    fast = Accelerated(greedy, greedy, model, "it", ())
    memory = 50 * batch_size._bytes_per_sample(greedy, inputs[:1])
    assert choose_batch_size(fast, inputs, most=1000, memory=memory) == 32
    assert set(measured) == {model}
    assert choose_batch_size(model, inputs, most=1000, memory=memory) > 50


def test_the_memory_of_a_control_group_is_what_it_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device("cpu")
    free = runtime.available_memory(device)
    assert free > 2**26
    monkeypatch.setattr(runtime, "_control_groups", lambda: [tmp_path])
    (tmp_path / "memory.max").write_text(f"{2**26}\n")
    (tmp_path / "memory.current").write_text(f"{2**26 - 1000}\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 300\nactive_file 7\n")
    assert runtime.available_memory(device) == 1300
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert runtime.available_memory(device) == 650
    (tmp_path / "memory.max").write_text("max\n")
    assert runtime.available_memory(device) > 2**25


class Small:
    """A classifier that has memory for a few samples only."""

    def __init__(self, most: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        self.model = problem((1, 4, 4))[0]
        self.most = most
        self.error = error

    def __call__(self, inputs: Tensor) -> Tensor:
        # A forward pass alone takes little.
        if len(inputs) > self.most and inputs.requires_grad:
            raise self.error("DefaultCPUAllocator: can't allocate memory")
        logits: Tensor = self.model(inputs)
        return logits


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
@pytest.mark.parametrize("attack", ["ddn(steps=8)", "normal_pursuit(budget=20)"])
def test_a_batch_that_does_not_fit_is_halved(
    attack: str, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    _, inputs, labels = problem((1, 4, 4), batch=23)
    data = (inputs, labels)
    expected = evaluate(Small(100), data, attack, batch_size=20).records
    with caplog.at_level(logging.WARNING):
        found = evaluate(Small(8, error), data, attack, batch_size=20).records
    assert "5 samples at once from now on" in caplog.text
    names = ("index", "attack", "success", "adversarial_prediction", "forwards", "backwards")
    for name in names:
        assert found.column(name).to_pylist() == pytest.approx(expected.column(name).to_pylist())
    assert found.column("l2").to_pylist() == pytest.approx(expected.column("l2").to_pylist())


def test_the_first_forward_pass_is_halved_too() -> None:
    _, inputs, labels = problem((1, 4, 4), batch=23)
    small = Small(8)
    largest = []

    def model(given: Tensor) -> Tensor:
        if len(given) > 8:
            raise torch.OutOfMemoryError("out of memory")
        largest.append(len(given))
        return small(given)

    found = evaluate(model, (inputs, labels), "ddn(steps=8)", batch_size=20).records
    expected = evaluate(small.model, (inputs, labels), "ddn(steps=8)", batch_size=20).records
    assert max(largest) <= 8
    assert found.column("l2").to_pylist() == pytest.approx(expected.column("l2").to_pylist())


def test_not_even_one_fits() -> None:
    _, inputs, labels = problem((1, 4, 4))
    small = Small(100)
    looked = 0

    def model(given: Tensor) -> Tensor:
        nonlocal looked
        looked += given.requires_grad
        small.most = 100 if looked <= 2 else 0  # after the first look at it
        return small(given)

    with pytest.raises(ValueError, match=r"ddn.*: there is not enough memory for a single sample"):
        evaluate(model, (inputs, labels), "ddn(steps=2)", batch_size=4)


def test_other_errors_are_no_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**56, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_a_run_goes_on_with_what_it_began_with(
    tmp_path: Path,
) -> None:
    model, data, attack, out = (
        "zoo:mnist-cnn",
        "mnist-sample[:8]",
        "ddn(steps=20)",
        f"{tmp_path}/run",
    )
    first = evaluate(model, data, attack, out=out, batch_size=3, accelerate="narrow+bfloat16")
    configuration = first.manifest["configuration"]
    assert configuration["acceleration"] == "narrow+bfloat16"
    assert configuration["batch_size"] == 3
    assert any("narrow: yes" in note for note in first.manifest["sessions"][0]["acceleration"])
    for path in sorted((first.directory / "records").iterdir())[:1]:  # type: ignore[operator]
        path.unlink()
    again = evaluate(model, data, attack, out=out)
    assert again.manifest["configuration"] == configuration
    assert same(again.records, first.records)
    with pytest.raises(ValueError, match=r"acceleration: narrow\+bfloat16 there, off now"):
        evaluate(model, data, attack, out=out, accelerate="off")
    with pytest.raises(ValueError, match=r"another configuration.*\n  model: zoo:mnist-cnn there"):
        evaluate("zoo:mnist-cnn-ddn", data, attack, out=out)  # of which it is not known yet


def test_an_accelerated_model_is_judged_by_its_original() -> None:
    model, inputs, labels = problem((1, 4, 4))

    def wrong(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits.roll(1, 1)

    fast = Accelerated(model, wrong, None, "it", ())
    found, expected = (
        evaluate(one, (inputs, labels), "ddn(steps=8)", batch_size=20, accelerate="off").records
        for one in (fast, model)
    )
    assert same(found, expected)


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
