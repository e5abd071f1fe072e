"""Exported models: each file returns the logits of the model, for batches of any size."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import minnorm
from minnorm.errors import InputError, MissingLibraryError
from minnorm.models import Normalized, export, export_model, load_model, mnist_cnn
from minnorm.models.load import architecture_of

INPUTS = torch.rand(3, 1, 28, 28)


@pytest.fixture
def model() -> nn.Module:
    """Return the network of MNIST with a normalization."""
    torch.manual_seed(0)
    return Normalized(mnist_cnn(), [0.13], [0.31]).eval()


ARCHITECTURE = "mnist_cnn(mean=[0.13], std=[0.31])"


@pytest.mark.parametrize("name", ["m.safetensors", "m.pt2"])
def test_an_exported_model_loads_again_for_batches_of_any_size(
    name: str, model: nn.Module, tmp_path: Path
) -> None:
    done = export_model(model, tmp_path / name, INPUTS, architecture=ARCHITECTURE)
    assert (done.path, done.input_shape, done.classes) == (tmp_path / name, (1, 28, 28), 10)
    assert (done.samples, list(tmp_path.iterdir())) == (3, [tmp_path / name])
    assert done.difference < 1e-5
    loaded = load_model(str(tmp_path / name), trust=True)
    for size in (1, 5):
        inputs = torch.rand(size, 1, 28, 28)
        torch.testing.assert_close(loaded(inputs), model(inputs))
    assert minnorm.ddn(loaded, INPUTS, torch.zeros(3, dtype=torch.int64), steps=2)


@pytest.mark.slow
def test_an_onnx_file_returns_the_logits_for_batches_of_any_size(
    model: nn.Module, tmp_path: Path
) -> None:
    from onnx.reference import ReferenceEvaluator

    assert export_model(model, tmp_path / "m.onnx", INPUTS).difference < 1e-4
    assert list(tmp_path.iterdir()) == [tmp_path / "m.onnx"]
    for size in (1, 5):
        inputs = torch.rand(size, 1, 28, 28)
        evaluator = ReferenceEvaluator(str(tmp_path / "m.onnx"))
        outputs: Any = evaluator.run(["logits"], {"inputs": inputs.numpy()})
        expected = model(inputs).detach().numpy()
        np.testing.assert_allclose(outputs[0], expected, rtol=1e-3, atol=1e-4)
    program = tmp_path / "m.pt2"
    export_model(model, program, INPUTS)
    export_model(load_model(str(program), trust=True), tmp_path / "n.onnx", INPUTS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", ["m.safetensors", "m.pt2"])
def test_a_model_of_another_dtype_is_exported(
    dtype: torch.dtype, name: str, model: nn.Module, tmp_path: Path
) -> None:
    changed = model.to(dtype)
    done = export_model(changed, tmp_path / name, INPUTS, architecture=ARCHITECTURE)
    assert done.difference <= 0.06


def test_a_file_is_only_replaced_on_demand(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_text("old")
    with pytest.raises(InputError, match=r"m\.safetensors exists already: .*--force"):
        export_model(model, path, INPUTS, architecture=ARCHITECTURE)
    assert path.read_text() == "old"
    export_model(model, path, INPUTS, architecture=ARCHITECTURE, overwrite=True)
    assert load_model(str(path))
    (tmp_path / "folder.pt2").mkdir()
    with pytest.raises(InputError, match="exists already"):
        export_model(model, tmp_path / "folder.pt2", INPUTS, overwrite=True)


class Random(nn.Module):
    """A classifier whose logits change from call to call."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return random logits."""
        return torch.rand(inputs.shape[0], 3) + 0 * inputs.flatten(1)[:, :3]


class FixedBatch(nn.Module):
    """A classifier whose code makes the size of its batch a constant."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs."""
        return inputs.flatten(1)[:, :3].reshape(int(inputs.shape[0]), 3)


class Branching(nn.Module):
    """A classifier whose code depends on the values of its inputs."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the inputs, or twice the inputs."""
        flat = inputs.flatten(1)[:, :3]
        return flat if float(inputs.sum()) > 1 else 2 * flat


class Tupled(nn.Module):
    """A model that returns more than logits."""

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs twice."""
        return inputs, inputs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Random, "the logits of the file and those of the model differ by up to 0"),
        (FixedBatch, "with a batch of any size: .*specialized it to be a constant"),
        (Branching, "the model cannot be exported to pt2 with a batch of any size: "),
        (Tupled, r"expected logits \[b classes\], got tuple"),
        (lambda: nn.Linear(7, 3), r"the model cannot take inputs of shape \[3, 1, 28, 28\]"),
        (lambda: nn.Flatten().train(), "the model is in training mode: call model.eval"),
        (nn.Identity, r"got shape \[3, 1, 28, 28\]"),
        (
            lambda: nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (3, 784))),
            r"inputs of shape \[1, 1, 28, 28\].* It takes batches of 3: rewrite it",
        ),
    ],
)
def test_a_model_that_cannot_be_exported_leaves_no_file(
    make: Callable[[], nn.Module], message: str, tmp_path: Path
) -> None:
    network = make()
    network.train("training" in message)
    with pytest.raises(InputError, match=message):
        export_model(network, tmp_path / "m.pt2", INPUTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mask", [-1e9, -torch.inf])
def test_masked_classes_hide_no_other_logits(mask: float, tmp_path: Path) -> None:
    class Masked(nn.Module):
        def __init__(self, error: float) -> None:
            super().__init__()
            self.error = error

        def forward(self, inputs: Tensor) -> Tensor:
            logits = inputs.flatten(1)[:, :3]
            if not torch.compiler.is_exporting():
                logits = logits + self.error
            return torch.cat([logits, torch.full_like(logits[:, :2], mask)], 1)

    assert export_model(Masked(0.0).eval(), tmp_path / "right.pt2", INPUTS)
    with pytest.raises(InputError, match=r"the logits of the file .* differ by up to 0\.01, more"):
        export_model(Masked(0.01).eval(), tmp_path / "wrong.pt2", INPUTS)


def test_weights_under_a_wrong_architecture_are_not_kept(model: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the logits of the file and those of the model differ"):
        export_model(model, tmp_path / "m.safetensors", INPUTS, architecture="mnist_cnn")
    with pytest.raises(InputError, match="do not fit 'cifar10_cnn'"):
        export_model(model, tmp_path / "m.safetensors", INPUTS, architecture="cifar10_cnn")
    with pytest.raises(InputError, match="this model names none: use --format pt2"):
        export_model(model, tmp_path / "m.safetensors", INPUTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["m.pt2", "m.onnx"])
def test_torchscript_cannot_be_exported(name: str, tmp_path: Path) -> None:
    script = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)).eval())
    for one in (script, torch.jit.freeze(script)):
        with pytest.raises(InputError, match="TorchScript cannot be exported to"):
            export_model(one, tmp_path / name, INPUTS)


def test_a_missing_onnx_is_named_with_its_extra(
    model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[export\]'"):
        export_model(model, tmp_path / "m.onnx", INPUTS)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("zoo:mnist-cnn", None, "onnx"), "mnist-cnn.onnx"),
        (("runs/net.safetensors", None, "pt2"), "net.pt2"),
        (("net.pt + my:net(a=1)", None, "PT2"), "net.pt2"),
        (("timm:resnet50.a1_in1k(num_classes=3)", None, "onnx"), "resnet50.a1_in1k.onnx"),
        (("zoo:mnist-cnn", Path("a/b.onnx"), None), "a/b.onnx"),
        (("zoo:mnist-cnn", Path("a/b.onnx"), "onnx"), "a/b.onnx"),
    ],
)
def test_the_file_has_the_name_of_the_model_and_the_ending_of_the_format(
    arguments: tuple[str, Path | None, str | None], expected: str
) -> None:
    assert export.path_for(*arguments) == Path(expected)


@pytest.mark.parametrize(
    ("out", "file_format", "message"),
    [
        (None, None, "name a format or a file: --format onnx|pt2|safetensors, --out FILE."),
        (None, "onx", "unknown format 'onx'. Did you mean 'onnx'?"),
        (Path("a.pt"), None, "a.pt: expected a file that ends in .onnx, .pt2, .safetensors."),
        (Path("a.pt2"), "onnx", "--out a.pt2: expected the ending .onnx of --format onnx."),
    ],
)
def test_a_file_of_another_format_is_refused(
    out: Path | None, file_format: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        export.path_for("zoo:mnist-cnn", out, file_format)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("zoo:mnist-cnn", "mnist_cnn"),
        ("{tmp}/w.safetensors", "mnist_cnn(dropout=0.1)"),
        ("{tmp}/w.safetensors + mnist_cnn", "mnist_cnn"),
        ("{tmp}/weights + mnist_cnn(mean=0, std=1)", "mnist_cnn(mean=0, std=1)"),
        ("models.pickled_networks:Linear", "models.pickled_networks:Linear"),
        (
            "torchvision:shufflenet_v2_x0_5(weights=None, num_classes=3, mean=0, std=1)",
            "torchvision:shufflenet_v2_x0_5(num_classes=3, mean=[0.0], std=[1.0])",
        ),
    ],
)
def test_the_architecture_of_a_model(
    spec: str, expected: str, tmp_path: Path, model: nn.Module
) -> None:
    for name in ("w.safetensors", "weights"):
        minnorm.models.save_weights(model, "mnist_cnn(dropout=0.1)", tmp_path / name)
    named = spec.format(tmp=tmp_path)
    assert architecture_of(named, load_model(named)) == expected


def test_the_shape_of_random_inputs_is_that_of_the_model(model: nn.Module, tmp_path: Path) -> None:
    assert export.random_inputs(model, None).shape == (8, 1, 28, 28)
    assert export.random_inputs(nn.Flatten(), (2, 3)).shape == (8, 2, 3)
    export_model(model, tmp_path / "m.pt2", INPUTS)
    program: Any = load_model(str(tmp_path / "m.pt2"), trust=True)
    assert export.random_inputs(program, None).shape == (8, 1, 28, 28)
    timm = load_model("timm:mnasnet_050(pretrained=False)")
    assert export.random_inputs(timm, None).shape == (8, 3, 224, 224)
    assert export.random_inputs(model, None).equal(export.random_inputs(model, None))
    with pytest.raises(InputError, match=r"write it, for example --shape 3,224,224, or name data"):
        export.random_inputs(nn.Flatten(), None)
