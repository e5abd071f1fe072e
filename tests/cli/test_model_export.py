"""The command that exports models."""

from pathlib import Path

import pytest
import torch
from torch import nn

from cli.command_line import Shell
from minnorm.models import load_model


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "options",
    [
        ("--format", "pt2"),
        ("--out", "mnist-cnn.pt2", "--shape", "1,28,28"),
        ("--format", "pt2", "--data", "mnist-sample[:3]"),
    ],
)
def test_a_model_is_exported_and_the_check_is_shown(options: tuple[str, ...], shell: Shell) -> None:
    outcome = shell("model", "export", "zoo:mnist-cnn", *options)
    assert outcome.code == 0, outcome.errors
    assert "mnist-cnn.pt2: inputs [batch, 1, 28, 28] to logits [batch, 10]" in outcome.output
    assert f"checked: on {3 if '--data' in options else 8} inputs" in outcome.output
    inputs = torch.rand(2, 1, 28, 28)
    expected = load_model("zoo:mnist-cnn")(inputs)
    torch.testing.assert_close(load_model("mnist-cnn.pt2", trust=True)(inputs), expected)


@pytest.mark.usefixtures("elsewhere")
def test_a_file_is_replaced_with_force_alone(shell: Shell, tmp_path: Path) -> None:
    words = ("model", "export", "zoo:mnist-cnn", "--format", "safetensors")
    (tmp_path / "mnist-cnn.safetensors").write_text("old")
    refused = shell(*words)
    assert (refused.code, refused.output) == (2, "")
    assert "mnist-cnn.safetensors exists already" in refused.message
    assert (tmp_path / "mnist-cnn.safetensors").read_text() == "old"
    assert shell(*words, "--force").code == 0
    assert load_model("mnist-cnn.safetensors")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("zoo:mnist-cnn",), "name a format or a file"),
        (("zoo:mnist-cnn", "--format", "tflite"), "unknown format 'tflite'"),
        (("zoo:mnist-cn", "--format", "pt2"), "Did you mean 'mnist-cnn'?"),
        (("zoo:mnist-cnn", "--out", "gone/m.pt2"), "the folder gone does not exist"),
        (("zoo:mnist-cnn", "--out", "m.pt2", "--shape", "1,x"), "--shape 1,x: expected the sizes"),
        (("zoo:mnist-cnn", "--out", "m.pt2", "--shape", "3,9,9"), "cannot take inputs of shape"),
        (("fixed.pt2", "--out", "m.pt2"), "--trust"),
        (("fixed.pt2", "--out", "m.pt2", "--trust"), "dynamic_shapes"),
    ],
)
def test_an_export_that_cannot_succeed_is_one_message(
    words: tuple[str, ...], says: str, shell: Shell, tmp_path: Path
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    torch.export.save(torch.export.export(network, (torch.rand(4, 1, 2, 2),)), "fixed.pt2")
    outcome = shell("model", "export", *words)
    assert outcome.code == 2
    assert says in outcome.message
    assert "Traceback" not in outcome.errors
    assert list(tmp_path.iterdir()) == [tmp_path / "fixed.pt2"]
