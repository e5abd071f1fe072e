"""Programs as models: exported ones with a batch size of their own, TorchScript, whole networks."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import minnorm
from minnorm.errors import DYNAMIC_BATCH, InputError, NotTrustedError, batch_size_advice
from minnorm.models import Normalized, fingerprint, load_model
from models import pickled_networks

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # TorchScript is deprecated


def _network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


INPUTS = torch.rand(4, 3, 2, 2)


@pytest.fixture
def fixed(tmp_path: Path) -> str:
    """Return a program for batches of exactly 4 inputs."""
    torch.export.save(torch.export.export(_network(), (INPUTS,)), tmp_path / "fixed.pt2")
    return str(tmp_path / "fixed.pt2")


@pytest.mark.parametrize(
    "use",
    [
        lambda model: minnorm.attack(model, INPUTS[:3], torch.zeros(3, dtype=torch.int64)),
        lambda model: minnorm.ddn(model, INPUTS[:3], torch.zeros(3, dtype=torch.int64), steps=3),
        lambda model: minnorm.evaluate(model, (INPUTS[:3], [0, 0, 0]), "ddn(steps=3)"),
        lambda model: minnorm.evaluate(model, (INPUTS, [0] * 4), "ddn(steps=3)"),
    ],
    ids=["attack", "ddn", "evaluate", "evaluate a whole batch"],
)
def test_a_program_of_one_batch_size_says_how_to_export_it(
    use: Callable[[Any], Any], fixed: str
) -> None:
    with pytest.raises(InputError, match=r"batches of exactly 4 inputs.*dynamic_shapes"):
        use(load_model(fixed, trust=True))


def test_a_program_that_the_user_loaded_says_it_too(fixed: str) -> None:
    program = torch.export.load(fixed).module()
    for data in ((INPUTS[:3], [0, 0, 0]), (INPUTS, [0] * 4)):
        with pytest.raises(InputError, match=re.escape(DYNAMIC_BATCH)):
            minnorm.evaluate(program, data, "ddn(steps=3)")


def test_only_an_error_about_the_batch_size_brings_that_advice() -> None:
    assert (
        batch_size_advice(AssertionError("Guard failed: x.size()[0] == 4")) == f" {DYNAMIC_BATCH}"
    )
    older = "Expected input at *args[0].shape[0] to be equal to 4, but got 3"
    assert batch_size_advice(RuntimeError(older)) == f" {DYNAMIC_BATCH}"
    assert batch_size_advice(AssertionError("Guard failed: x.size()[1] == 3")) == ""
    assert batch_size_advice(RuntimeError("shape '[2, 3]' is invalid for input of size 4")) == ""


def test_a_program_names_the_shape_of_its_inputs(fixed: str) -> None:
    model = load_model(fixed, trust=True)
    assert model(INPUTS).shape == (4, 3)
    with pytest.raises(
        InputError, match=r"fixed.pt2 takes inputs of shape \[4, 3, 2, 2\]; got \[4, 1, 2, 2\]"
    ):
        model(INPUTS[:, :1])


def _save_script(module: nn.Module, path: Path, kind: str) -> None:
    script: Any = torch.jit.script(module)
    if kind == "traced":
        script = torch.jit.trace(module, INPUTS)  # type: ignore[no-untyped-call]
    torch.jit.save(torch.jit.freeze(script) if kind == "frozen" else script, path)


@pytest.mark.parametrize("kind", ["scripted", "traced", "frozen"])
@pytest.mark.parametrize("ending", [".pt", ".jit", ".pth"])
def test_torchscript_is_loaded_when_trusted(kind: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"m{ending}"
    _save_script(_network(), path, kind)
    with pytest.raises(NotTrustedError, match=r"TorchScript program, which is code .*--trust in"):
        load_model(str(path))
    with pytest.raises(InputError, match="holds a whole model, not only weights: name it alone"):
        load_model(f"{path} + mnist_cnn", trust=True)
    model = load_model(str(path), trust=True)
    torch.testing.assert_close(model(INPUTS), _network()(INPUTS))
    assert not getattr(model, "training", False)
    assert not Normalized(model, 0.5, 0.25).training


@pytest.mark.parametrize("kind", ["scripted", "frozen"])
def test_the_fingerprint_of_torchscript_covers_its_weights(kind: str, tmp_path: Path) -> None:
    for seed in (0, 1):
        _save_script(_network(seed), tmp_path / f"{seed}.pt", kind)
    models = [load_model(str(tmp_path / f"{seed}.pt"), trust=True) for seed in (0, 0, 1)]
    same, again, other = (fingerprint(model) for model in models)
    assert same == again
    assert same != other


@pytest.mark.parametrize(
    "content",
    [
        lambda network: network,
        lambda network: {"model": network, "epoch": 3},
        nn.DataParallel,
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_whole_network_is_loaded_when_trusted(
    content: Callable[[nn.Module], Any], protocol: int, tmp_path: Path
) -> None:
    path, network = tmp_path / "whole.pt", pickled_networks.Linear()
    torch.save(content(network), path, pickle_protocol=protocol)
    message = (
        r"whole.pt is refused: it holds more than tensors \(models\.pickled_networks\.Linear.*"
        r"--trust in the shell.*torch\.save\(model\.state_dict\(\), 'weights\.pt'\)"
    )
    with pytest.raises(NotTrustedError, match=message):
        load_model(str(path))
    for name in ("whole.pt", "whole.safetensors"):  # the content decides, not the name
        path = path.rename(tmp_path / name)
        model = load_model(str(path), trust=True)
        assert type(model) is pickled_networks.Linear
        assert torch.equal(model(INPUTS), network.eval()(INPUTS))
        assert not model.training


def test_a_whole_network_whose_class_is_missing_says_what_the_file_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "whole.pt"
    torch.save(pickled_networks.Linear(), path)
    monkeypatch.delattr(pickled_networks, "Linear")
    with pytest.raises(InputError, match="it holds only the names of its classes"):
        load_model(str(path), trust=True)
    main: Any = sys.modules["__main__"]
    network_class = type("Net", (nn.Linear,), {"__module__": "__main__"})
    monkeypatch.setattr(main, "Net", network_class, raising=False)
    torch.save(main.Net(2, 3), path)
    monkeypatch.delattr(main, "Net")
    with pytest.raises(InputError, match="it was saved by a script or notebook that defines"):
        load_model(str(path), trust=True)
