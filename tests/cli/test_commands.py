"""The commands `evaluate` and `train`, from the command line to what they print and save."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cli.bad_evaluation import DATA, MODEL
from cli.command_line import Shell
from minnorm import training
from minnorm.attacks.contract import BEST_ATTACKS
from minnorm.evaluation import load_run
from minnorm.models import Card, zoo_cards
from minnorm.runtime import progress

TESTS = Path(__file__).parent.parent


def test_an_evaluation_prints_a_table_and_where_the_records_are(
    shell: Shell, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=5)", "--attack", "ddn(steps=3)"]
    outcome = shell(*words, "--out", str(out), "--epsilon", "0.5", "--norm", "linf")
    assert outcome.code == 0
    for text in ("ddn(steps=5)", "ddn(steps=3)", "worst case", "median linf", "acc. % at 0.5"):
        assert text in outcome.output
    assert outcome.output.splitlines()[-1] == f"records: {out}"
    assert outcome.message == ""
    assert len(load_run(out).records) == 2 * 8


def test_an_evaluation_without_an_attack_uses_the_default(shell: Shell, tmp_path: Path) -> None:
    outcome = shell("evaluate", MODEL, DATA, "--out", str(tmp_path / "run"))
    assert outcome.code == 0
    name = BEST_ATTACKS["gradients"]["l2"]
    assert set(load_run(tmp_path / "run").records.column("attack").to_pylist()) == {name}
    assert name in outcome.output
    assert f"Default: {name};" in " ".join(shell("evaluate", "--help").output.split())


def test_a_mask_and_bounds_of_each_feature_come_from_files(elsewhere: Path, shell: Shell) -> None:
    mask = np.zeros((28, 28), dtype=bool)
    mask[:, :14] = True
    np.save("mask.npy", mask)
    out = elsewhere / "run"
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=2)", "--out", str(out)]
    outcome = shell(*words, "--mask", "mask.npy")
    assert outcome.code == 0
    assert "restrictions: 392 of 784 features may change, mask " in outcome.output
    kept = load_run(out).adversarials("ddn(steps=2)")
    assert torch.equal(kept.adversarials[..., 14:], kept.inputs[..., 14:])
    refused = shell(*words)
    assert refused.code == 2
    assert "restrictions: 392 of 784 features may change" in refused.message
    np.savez("own.npz", low=np.zeros((28, 28)), high=np.ones((28, 28)))
    refused = shell(*words[:-1], "other", "--bounds", "own.npz")
    assert refused.code == 2
    assert "unclear how to scale them to bounds of each feature" in refused.message


def test_the_options_are_passed_to_the_evaluation(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--targets", "random:2", "--batch-size", "3", "--seed", "7", "--bounds", "0,255"]
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=2)", "--out", str(out), *options]
    assert shell(*words, "--no-adversarials", "--device", "cpu").code == 0
    configuration = load_run(out).manifest["configuration"]
    expected = {"targets": "random:2", "batch_size": 3, "seed": 7, "bounds": [0.0, 255.0],
                "device": "cpu", "save_adversarials": False}  # fmt: skip
    assert expected.items() <= configuration.items()
    assert not list(out.rglob("*.safetensors"))


def test_the_same_command_again_prints_the_same_table(shell: Shell, tmp_path: Path) -> None:
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=2)", "--out", str(tmp_path / "run")]
    assert shell(*words).output == shell(*words).output


@pytest.mark.slow
def test_a_new_process_evaluates_and_prints_no_colors(tmp_path: Path) -> None:
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=2)", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "minnorm", *words],
        cwd=TESTS, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "ddn(steps=2)" in done.stdout
    assert "\x1b[" not in done.stdout
    assert len(load_run(tmp_path / "run").records) == 8


def test_a_training_prints_its_progress_the_accuracies_and_the_network(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[training.Recipe, Path, dict[str, Any]]] = []
    network = zoo_cards()["mnist-cnn-ddn"].model_copy(update={"epoch": 2})

    def train(recipe: training.Recipe, out: Path, *, on_progress: Any, **options: Any) -> Card:
        calls.append((recipe, out, options))
        on_progress(1, 3, {})
        on_progress(1.5, 3, {"loss": 0.25, "validation_accuracy": 0.5, "robust_accuracy": 0.125})
        return network

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(progress, "_MOST_SECONDS", 0.0)
    monkeypatch.chdir(tmp_path)
    options = ["--set", "epochs=3", "--set", "name=mine", "--resume", "--workers", "2", "--trust"]
    outcome = shell("train", "mnist-cnn-ddn", *options, "--device", "cuda:1")
    assert outcome.code == 0
    [(recipe, out, passed)] = calls
    assert (recipe.name, recipe.epochs, out) == ("mine", 3, Path("runs/mine"))
    assert passed == {"resume": True, "workers": 2, "device": "cuda:1", "trust": True}
    assert outcome.message.startswith("mine: 1 of 3 ")
    assert "mine: loss 0.2500, accuracy 50.00 %, under attack 12.5 %: 1.5 of 3" in outcome.message
    assert "kept: the weights after epoch 2 of 3\n" in outcome.output
    for name, accuracy in {**network.accuracy, **network.robust_accuracy}.items():
        assert f"accuracy on {name}: {100 * accuracy:.2f} %\n" in outcome.output
    assert outcome.output.endswith("network: runs/mine/mnist-cnn-ddn.safetensors\n")
    shell("train", "mnist-cnn-ddn", "--out", "elsewhere")
    defaults = {"resume": False, "workers": 0, "device": None, "trust": False}
    assert calls[1][1:] == (Path("elsewhere"), defaults)


def test_common_words_fractions_and_functions_name_attacks(shell: Shell, tmp_path: Path) -> None:
    attacks = "DDN(iterations=3), pgd-linf(eps=8/255, nb_iter=2)"
    words = ["evaluate", MODEL, DATA, "--attack", attacks, "--attack", "cli.own_attack:misses"]
    outcome = shell(
        *words, "--out", str(tmp_path / "run"), "--epsilon", "8/255,0.1", "--norm", "L2"
    )
    assert outcome.code == 0, outcome.message
    names = load_run(tmp_path / "run").records.column("attack").unique().to_pylist()
    pgd = f"pgd(epsilon={8 / 255}, steps=2, norm='linf')"
    assert names == ["ddn(steps=3)", pgd, "cli.own_attack:misses"]
    assert {"8/255", "0.1"} <= set(outcome.output.split())
