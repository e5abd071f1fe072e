"""The preparation of whole evaluations: how much it computes, and what it remembers."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import minnorm
from minnorm.acceleration import building
from minnorm.data.cache import cache_folder
from minnorm.evaluation import Evaluation, evaluate
from minnorm.evaluation.preparation import tuning, work


class Counted(nn.Module):
    """A network that counts the samples that pass through it and its copies."""

    samples = 0

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.Parameter(torch.randn(36, 4, generator=generator))

    def forward(self, inputs: Tensor) -> Tensor:
        Counted.samples += len(inputs)
        return inputs.flatten(1) @ self.weights


def _run(model: nn.Module, images: int, steps: int, **changes: object) -> Evaluation:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(images, 1, 6, 6, generator=generator)
    labels = model(inputs).argmax(1)
    return evaluate(model, (inputs, labels), f"ddn(steps={steps})", **changes)  # type: ignore[arg-type]


def _samples(model: nn.Module, images: int, steps: int, **changes: object) -> int:
    """Return how many samples pass through the model in a run."""
    before = Counted.samples
    _run(model, images, steps, **changes)
    return Counted.samples - before


@pytest.fixture
def model() -> nn.Module:
    return Counted().eval()


@pytest.fixture
def choices(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The choices by measuring; a gradient of any length is measured."""
    calls: list[str] = []
    real = minnorm.acceleration.accelerate

    def accelerate(model: nn.Module, example: Tensor, use: str) -> object:
        calls.append(use)
        return real(model, example, use)

    monkeypatch.setattr(tuning, "accelerate", accelerate)
    monkeypatch.setattr(tuning, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(building, "_SHORTEST", 0.0)
    monkeypatch.setattr(building, "_COARSE_GAIN", math.inf)  # it would take more forward passes
    monkeypatch.setattr(building, "_SECONDS_PER_MODULE", 0.0)
    return calls


@pytest.fixture
def measured(choices: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The choices by measuring, which may take as long as the work."""
    for module in (tuning, work):
        monkeypatch.setattr(module, "LARGEST_SHARE", 1.0)
    return choices


@pytest.mark.parametrize(("images", "steps"), [(20, 30), (100, 10)])
def test_a_small_run_computes_with_auto_what_it_computes_with_off(
    model: nn.Module, images: int, steps: int
) -> None:
    size = 25
    auto = _samples(model, images, steps, batch_size=size)
    assert auto == _samples(model, images, steps, batch_size=size, accelerate="off")


@pytest.mark.parametrize("accelerate", ["auto", "off"])
@pytest.mark.parametrize(("images", "steps"), [(20, 30), (100, 30), (200, 100)])
def test_preparing_takes_at_most_a_twentieth_of_the_work(
    model: nn.Module, images: int, steps: int, accelerate: str, choices: list[str]
) -> None:
    bare = _samples(model, images, steps, batch_size=images, accelerate="off")
    whole = _samples(model, images, steps, accelerate=accelerate)
    assert whole <= 1.05 * bare
    assert choices[-1] == (accelerate if images == 200 else "off")


def test_a_run_that_was_measured_is_not_measured_again(
    model: nn.Module, measured: list[str]
) -> None:
    first = _run(model, 30, 20).manifest["configuration"]
    assert measured == ["auto"]
    second = _run(model, 30, 20).manifest["configuration"]
    assert measured == ["auto", first["acceleration"]]
    assert second["acceleration"] == first["acceleration"]
    assert second["batch_size"] == first["batch_size"]
    with torch.no_grad():
        model.weights[0] += 1  # type: ignore[operator, index]
    _run(model, 30, 20)
    assert measured[2:] == ["auto"]


def test_small_and_given_runs_leave_nothing_behind(model: nn.Module, measured: list[str]) -> None:
    _run(model, 10, 5)
    _run(model, 30, 20, batch_size=10, accelerate="plain")
    assert measured == ["off", "plain"]
    assert not (cache_folder() / "decisions.json").exists()


def test_an_interrupted_run_keeps_its_choice_whatever_is_remembered(
    model: nn.Module, measured: list[str], tmp_path: Path
) -> None:
    first = _run(model, 30, 20, out=tmp_path / "run", accelerate="plain", batch_size=10)
    (tmp_path / "run" / "records").joinpath("000001-00.parquet").unlink()
    _run(model, 30, 20, batch_size=10)  # remembers a choice
    file = cache_folder() / "decisions.json"
    kept = json.loads(file.read_text())
    kept[0]["value"]["words"] = "off"
    file.write_text(json.dumps(kept))
    again = _run(model, 30, 20, out=tmp_path / "run")
    assert measured == ["plain", "auto", "plain"]
    assert again.manifest["configuration"] == first.manifest["configuration"]
    assert again.records.column("l2").equals(first.records.column("l2"))


@pytest.mark.parametrize("words", ["folded", "narrow", "bfloat16+compiled", "nonsense"])
def test_a_forged_choice_does_no_harm(model: nn.Module, measured: list[str], words: str) -> None:
    expected = _run(model, 30, 20, batch_size=10)
    file = cache_folder() / "decisions.json"
    kept = json.loads(file.read_text())
    kept[0]["value"]["words"] = words  # the model has neither batch norms nor convolutions
    file.write_text(json.dumps(kept))
    found = _run(model, 30, 20, batch_size=10)
    assert found.records.column("success").equals(expected.records.column("success"))
    assert "compiled" not in found.manifest["configuration"]["acceleration"]
    assert measured
