"""A GPU gives what the CPU gives. These tests are collected by `make test-gpu` only."""

from pathlib import Path

import pytest
import torch

from attacks.cases import LINF, VARIANTS, attack_of
from attacks.networks import problem
from minnorm import attack, evaluate, load_model
from minnorm.attacks import ENTRIES
from minnorm.data import load_data
from minnorm.evaluation import of_attack, summarize
from minnorm.logits import is_adversarial
from minnorm.runtime import devices
from minnorm.training import train
from training.small_runs import digits_file, log_of, recipe_of, stopped

if not torch.cuda.is_available():
    pytest.fail("these tests need a GPU, and PyTorch finds none", pytrace=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_attack_finds_on_a_gpu_what_it_finds_on_the_cpu(variant: str) -> None:
    model, inputs, labels = problem((3, 4, 4), batch=32)
    chosen = attack_of(variant)
    expected = chosen(model, inputs, labels)
    found = chosen(model.cuda(), inputs.cuda(), labels.cuda())
    assert found.adversarials.is_cuda
    assert found.distances.is_cuda
    assert found.success.is_cuda
    with torch.no_grad():
        wrong = is_adversarial(model(found.adversarials), labels.cuda(), targeted=False)
    assert wrong.equal(found.success)
    # A GPU draws other random numbers and sums in another order.
    success = found.success.cpu()
    assert int((success != expected.success).sum()) <= 2
    if ENTRIES[variant.removesuffix(LINF)].goal == "closest":
        both = success & expected.success
        mean = float(expected.distances[both].mean())
        assert float(found.distances.cpu()[both].mean()) == pytest.approx(mean, rel=0.02)


@pytest.mark.parametrize("accelerate", ["off", "auto", "channels-last+bfloat16"])
def test_an_evaluation_has_the_records_of_the_cpu(accelerate: str, tmp_path: Path) -> None:
    network, data = "zoo:mnist-cnn", "mnist-sample[:64]"
    attacks = ["normal_pursuit(budget=100)", "ddn(steps=100)"]
    expected = evaluate(network, data, attacks, device="cpu", accelerate="off").records
    run = evaluate(network, data, attacks, accelerate=accelerate, out=tmp_path / "run")
    assert run.manifest["configuration"]["device"] == "cuda"
    assert "gpu" in run.manifest["sessions"][0]["hardware"]
    for name in attacks:
        on_gpu, on_cpu = (
            summarize(of_attack(records, name), name) for records in (run.records, expected)
        )
        assert on_gpu.success.value == on_cpu.success.value == 1
        assert on_gpu.mean.value == pytest.approx(on_cpu.mean.value, rel=0.01)


def test_float32_is_computed_in_full() -> None:
    layer = torch.nn.Conv2d(64, 64, 3)
    inputs = torch.rand(8, 64, 16, 16)
    with torch.no_grad():
        expected = layer.double()(inputs.double())
        layer.float().cuda()

        def error() -> float:
            return float((layer(inputs.cuda()).cpu() - expected).abs().max())

        with devices.full_float32():
            assert error() < 1e-5
        assert error() > 1e-5  # PyTorch's default, TF32, is back


def test_the_same_seed_gives_the_same_adversarials() -> None:
    model = load_model("zoo:mnist-cnn").cuda()
    inputs, labels = (part.cuda() for part in load_data("mnist-sample").batch(range(32)))
    state = torch.cuda.get_rng_state()
    first, second = (attack(model, inputs, labels) for _ in range(2))
    torch.testing.assert_close(first.distances, second.distances, rtol=1e-3, atol=0)
    assert torch.cuda.get_rng_state().equal(state)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_training_learns_and_resumes(precision: str, tmp_path: Path) -> None:
    recipe = recipe_of(
        digits_file(tmp_path, 512),
        precision=precision,
        objective="ddn(max_norm=1.0, steps=3, warm_start=True)",
        ema=0.9,
        largest_gradient=2.0,
        robust_validation={"epsilon": 0.5, "images": 32},
    )
    card = train(recipe, tmp_path / "whole")
    losses = [line["loss"] for line in log_of(tmp_path / "whole")]
    assert losses[-1] < losses[0]
    assert card.gradients_per_image == 9
    train(recipe, stopped(recipe, tmp_path / "stopped"), resume=True)
    resumed = [line["loss"] for line in log_of(tmp_path / "stopped")]
    assert resumed == pytest.approx(losses, rel=1e-3)  # a GPU may sum in another order
