"""Evaluations of models that cannot be used."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cli.bad_evaluation import ATTACK, DATA, MODEL, TINY, Case, check_refused
from cli.command_line import Shell
from minnorm.models import build, save_weights

CASES = [
    Case("no weights", ("there is no file", "gone.safetensors"), model="{files}/gone.safetensors"),
    Case("no program", ("there is no file", "gone.pt2"), model="{files}/gone.pt2"),
    Case("no checkpoint", ("there is no file", "gone.pt"), model="{files}/gone.pt + mnist_cnn"),
    Case("not trusted", ("program.pt2 is refused", "--trust"), model="{files}/program.pt2"),
    Case(
        "damaged program",
        ("program.pt2 cannot be read as a program of torch.export",),
        model="{files}/program.pt2",
        options=("--trust",),
    ),
    Case(
        "not a program",
        ("text.pt2 is text, not a model file",),
        model="{files}/text.pt2",
        options=("--trust",),
    ),
    Case("no home", ("cannot read the path '~nosuchuser",), model="~nosuchuser/model.safetensors"),
    Case(
        "pickle",
        ("payload.pt is refused", "can run any code", "--trust"),
        model="{files}/payload.pt + mnist_cnn",
    ),
    Case("not weights", ("list.pt holds no weights",), model="{files}/list.pt"),
    Case(
        "no architecture", ("mnist.pt does not name its network", " + "), model="{files}/mnist.pt"
    ),
    Case(
        "no header",
        ("nameless.safetensors does not name its network",),
        model="{files}/nameless.safetensors",
    ),
    Case(
        "cut weights",
        ("cut.safetensors is not a complete safetensors file",),
        model="{files}/cut.safetensors",
    ),
    Case(
        "other weights",
        ("cifar.safetensors do not fit 'mnist_cnn': other shapes: ", "classifier.fc1.weight"),
        model="{files}/cifar.safetensors + mnist_cnn",
    ),
    Case(
        "other shape",
        ("failed on inputs of shape [8, 1, 28, 28]",),
        model="{files}/cifar.safetensors",
    ),
    Case("not in the zoo", ("'mnist-cn'", "Did you mean 'mnist-cnn'?"), model="zoo:mnist-cn"),
    Case(
        "unknown architecture",
        ("unknown architecture 'mnist_cn'. Did you mean 'mnist_cnn'?",),
        model="{files}/mnist.pt + mnist_cn",
    ),
    Case("not a model", ("cannot read 'banana' as a model", "zoo:NAME"), model="banana"),
    Case("not supported", ("hf:org/name", "not supported yet", "zoo:NAME"), model="hf:org/name"),
    Case("a slice", ("a model has no slice",), model=f"{MODEL}[:3]"),
    Case("no module", ("there is no module 'no_such_module'",), model="no_such_module:network"),
    Case(
        "module that raises",
        ("broken_module", "No module named 'no_such_library'"),
        model="broken_module:network",
    ),
    Case("no factory", (f"{TINY} has no function 'nothing'", "write"), model=f"{TINY}:nothing"),
    Case("factory raises", ("RuntimeError: no weights today",), model=f"{TINY}:raises"),
    Case("no network", ("returned a str; expected a torch.nn.Module",), model=f"{TINY}:no_module"),
    Case(
        "unknown argument",
        (f"unknown parameter 'sede' of {MODEL}. Did you mean 'seed'?",),
        model=f"{MODEL}(sede=1)",
    ),
    Case(
        "one number",
        ("output of shape [8] for 8 inputs; expected logits [8, classes]",),
        model=f"{TINY}:says(kind='one number')",
    ),
    Case("one class", ("[8, 1]", "at least 2 classes"), model=f"{TINY}:says(kind='one class')"),
    Case("tuple", ("tuple",), model=f"{TINY}:says(kind='tuple')"),
    Case("whole numbers", ("int64",), model=f"{TINY}:says(kind='whole numbers')"),
    Case(
        "assertion",
        ("failed on inputs of shape [8, 1, 28, 28]", "Input image size doesn't match"),
        model=f"{TINY}:says(kind='picky')",
    ),
]


class Payload:
    """A pickle that runs code."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return print, ("the pickle ran",)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of model files, each with one thing wrong."""
    folder = tmp_path_factory.mktemp("files")
    save_weights(build("cifar10_cnn"), "cifar10_cnn", folder / "cifar.safetensors")
    content = (folder / "cifar.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(content[: len(content) // 2])
    save_file({"weight": torch.zeros(3)}, folder / "nameless.safetensors")
    torch.save(Payload(), folder / "payload.pt")
    torch.save([1, 2, 3], folder / "list.pt")
    torch.save(build("mnist_cnn").state_dict(), folder / "mnist.pt")
    (folder / "text.pt2").write_text("a program")
    with zipfile.ZipFile(folder / "program.pt2", "w") as archive:
        archive.writestr("program/archive_format", "pt2")
    (folder / "broken_module.py").write_text("import no_such_library\n")
    return folder


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_model_is_refused(
    case: Case, shell: Shell, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(files))
    check_refused(shell, case.words(files, tmp_path), case.says)


def _export(folder: Path) -> None:
    """Export programs with two frequent mistakes: training mode, and a fixed batch size."""
    sample = (torch.rand(8, 1, 28, 28),)
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))
    torch.export.save(torch.export.export(network.eval(), sample), folder / "static.pt2")
    dynamic = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(network.train(), sample, dynamic_shapes=dynamic)
    torch.export.save(exported, folder / "dropout.pt2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("dropout.pt2", ("exported in training mode", "Export it in evaluation mode")),
        ("static.pt2", ("dynamic batch size", "dynamic_shapes")),
    ],
)
def test_an_exported_program_that_cannot_be_evaluated_is_refused(
    program: str, says: tuple[str, ...], shell: Shell, tmp_path: Path
) -> None:
    _export(tmp_path)
    case = Case(program, says, model=f"{{files}}/{program}", options=("--trust",))
    check_refused(shell, case.words(tmp_path, tmp_path), says)


def test_a_pickle_does_not_run_unless_it_is_trusted(
    shell: Shell, files: Path, tmp_path: Path
) -> None:
    words = Case("pickle", (), model="{files}/payload.pt + mnist_cnn").words(files, tmp_path)
    refused, trusted = shell(*words), shell(*words, "--trust")
    assert "the pickle ran" not in refused.output + refused.errors
    assert "the pickle ran" in trusted.output  # so the line above can fail
    assert (refused.code, trusted.code) == (2, 2)  # the pickle holds no weights


def test_probabilities_instead_of_logits_are_a_warning(shell: Shell, tmp_path: Path) -> None:
    model = f"{TINY}:says(kind='probabilities')"
    outcome = shell("evaluate", model, DATA, "--attack", ATTACK, "--out", str(tmp_path / "out"))
    assert outcome.code == 0
    assert "outputs look like probabilities" in outcome.message
    assert "softmax" in outcome.message
    assert ATTACK in outcome.output
