"""Weight files: round trips, damage, checkpoints that are pickles, fingerprints."""

import os
import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from minnorm.errors import InputError, NotTrustedError
from minnorm.models import (
    Normalized,
    build,
    cifar10_cnn,
    fingerprint,
    load_model,
    load_weights,
    mnist_cnn,
    save_weights,
)
from minnorm.models.recognition import CHECKPOINTS

SPEC = "wide_resnet(depth=10, width=1)"


def _trained() -> nn.Module:
    """Return a network whose batch-norm statistics are not the initial ones."""
    model = build(SPEC)
    model(torch.rand(4, 3, 8, 8))
    return model.eval()


def _same_state(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(mine[key].equal(theirs[key]) for key in mine)


def test_saved_weights_are_loaded(tmp_path: Path) -> None:
    model, path = _trained(), tmp_path / "w.safetensors"
    save_weights(model, SPEC, path)
    loaded = load_weights(path)
    assert _same_state(loaded, model)
    inputs = torch.rand(2, 3, 8, 8)
    # The weights of loaded models are channels-last, which rounds differently.
    torch.testing.assert_close(load_model(str(path))(inputs), model(inputs))
    torch.testing.assert_close(load_model(f"{path} + {SPEC}")(inputs), model(inputs))
    assert not load_model(str(path)).training


def test_channels_last_weights_are_saved_as_the_same_values(tmp_path: Path) -> None:
    model = _trained().to(memory_format=torch.channels_last)
    save_weights(model, SPEC, tmp_path / "w.safetensors")
    assert _same_state(load_weights(tmp_path / "w.safetensors"), model)


def test_the_network_inside_a_normalized_is_saved(tmp_path: Path) -> None:
    path, inner = tmp_path / "w.safetensors", _trained()
    model = Normalized(inner, [0.5] * 3, [0.25] * 3)
    save_weights(model, SPEC, path)
    assert _same_state(load_weights(path, SPEC), inner)
    spec = "wide_resnet(depth=10, width=1, mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])"
    save_weights(model, spec, path)
    inputs = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(load_model(str(path))(inputs), model(inputs))


def test_saving_replaces_the_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_text("old")
    save_weights(_trained(), SPEC, path)
    assert load_weights(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_saving_that_is_interrupted_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_text("old")

    def half(file: Path, _: bytes) -> None:
        file.write_text("half")
        raise error

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(error):
        save_weights(_trained(), SPEC, path)
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(path, "old")]


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(mnist_cnn(), "mnist_cnn", path)
    with pytest.raises(
        InputError, match=r"w.safetensors do not fit 'cifar10_cnn': other shapes: .*fc1.weight"
    ):
        load_weights(path, "cifar10_cnn")
    save_file({"bias": torch.zeros(2)}, path)
    with pytest.raises(InputError, match=r"do not fit 'mnist_cnn': missing in the file: .*only"):
        load_weights(path, "mnist_cnn")


def test_weights_without_an_architecture_require_one_in_the_spec(tmp_path: Path) -> None:
    path, model = tmp_path / "w.safetensors", mnist_cnn()
    save_file(model.state_dict(), path)
    with pytest.raises(
        InputError, match=r"write the architecture after it, for example '.*\+ wide"
    ):
        load_model(str(path))
    assert _same_state(load_model(f"{path} + mnist_cnn"), model)
    assert _same_state(load_model(f"{path}+mnist_cnn(dropout=0.1)"), model)


@pytest.mark.parametrize("length", [20, 200, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(mnist_cnn(), "mnist_cnn", path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"w.safetensors is not a complete safetensors file: "):
        load_model(str(path))


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"there is no file .*{name}"):
        load_model(f"{tmp_path / name} + mnist_cnn")


@pytest.mark.parametrize("ending", CHECKPOINTS)
@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model"])
def test_a_checkpoint_of_plain_tensors_is_loaded(
    tmp_path: Path, ending: str, key: str | None
) -> None:
    path, model = tmp_path / f"w{ending}", mnist_cnn()
    content: Any = model.state_dict()
    torch.save({key: content, "epoch": 3} if key else content, path)
    assert _same_state(load_model(f"{path} + mnist_cnn"), model)


def test_a_checkpoint_requires_an_architecture_in_the_spec(tmp_path: Path) -> None:
    torch.save(mnist_cnn().state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match="does not name its network"):
        load_model(str(tmp_path / "w.pt"))


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(3)])
def test_a_checkpoint_without_weights_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"w.pt holds no weights: expected a state_dict"):
        load_model(f"{tmp_path / 'w.pt'} + mnist_cnn")


class Bomb(OrderedDict[str, Tensor]):
    """A state_dict whose pickle also makes a folder when it is loaded."""

    target = ""

    def __reduce__(self) -> Any:
        return _explode, (self.target, dict(self))


def _explode(target: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    os.mkdir(target)  # noqa: PTH102 - what foreign code would do
    return state


@pytest.fixture
def bomb(tmp_path: Path) -> tuple[Path, Path, nn.Module]:
    """Return a checkpoint that contains code, the folder that the code makes, and the network."""
    model = mnist_cnn()
    content = Bomb(model.state_dict())
    content.target = str(tmp_path / "exploded")
    torch.save(content, tmp_path / "w.pt")
    return tmp_path / "w.pt", tmp_path / "exploded", model


def test_a_pickle_with_code_is_refused_and_its_code_does_not_run(
    bomb: tuple[Path, Path, nn.Module],
) -> None:
    path, exploded, _ = bomb
    with pytest.raises(
        NotTrustedError, match=r"w.pt is refused: .*--trust in the shell, trust=True"
    ):
        load_model(f"{path} + mnist_cnn")
    assert not exploded.exists()


def test_a_pickle_with_code_is_loaded_when_trusted(bomb: tuple[Path, Path, nn.Module]) -> None:
    path, exploded, model = bomb
    assert _same_state(load_model(f"{path} + mnist_cnn", trust=True), model)
    assert exploded.exists()


def test_a_pickled_module_needs_trust(tmp_path: Path) -> None:
    path, model = tmp_path / "w.pth", mnist_cnn()
    torch.save(model, path)
    message = (
        r"w.pth is refused: it holds more than tensors \(minnorm\.models\.small_cnn\.SmallCNN, "
    )
    with pytest.raises(NotTrustedError, match=message):
        load_model(f"{path} + mnist_cnn")
    assert _same_state(load_model(f"{path} + mnist_cnn", trust=True), model)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", pickle.dumps([1], protocol=2)])
def test_a_file_that_is_no_checkpoint_is_refused_with_and_without_trust(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(
        InputError, match=r"w.pt (is |cannot be read as a checkpoint|holds no weights)"
    ):
        load_model(f"{tmp_path / 'w.pt'} + mnist_cnn")
    with pytest.raises(
        InputError, match=r"w.pt (is |cannot be read as a checkpoint|holds no weights)"
    ):
        load_model(f"{tmp_path / 'w.pt'} + mnist_cnn", trust=True)


def _changed(change: Callable[[nn.Module], object]) -> nn.Module:
    torch.manual_seed(0)
    model = Normalized(build(SPEC), [0.5], [0.5])
    change(model)
    return model


def _next_float(tensor: Tensor) -> None:
    with torch.no_grad():
        tensor.view(-1)[0] = torch.nextafter(tensor.view(-1)[0], torch.tensor(9.0))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: _next_float(model.model.stem.weight),
        lambda model: _next_float(model.model.norm.running_mean),
        lambda model: model.model.norm.num_batches_tracked.add_(1),
        lambda model: _next_float(model.mean),
        lambda model: setattr(model.model.groups[0][0].dropout, "p", 0.1),
        lambda model: model.double(),
    ],
    ids=["weight", "buffer", "count", "unsaved buffer", "structure", "dtype"],
)
def test_the_fingerprint_changes_with_weights_buffers_and_structure(
    change: Callable[[nn.Module], object],
) -> None:
    assert fingerprint(_changed(change)) != fingerprint(_changed(id))


def test_the_fingerprint_is_the_same_for_the_same_model() -> None:
    model = _changed(id)
    assert fingerprint(model) == fingerprint(_changed(id))
    before = fingerprint(model)
    model.eval().to(memory_format=torch.channels_last)
    assert fingerprint(model) == before


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    program = (
        "import torch; from minnorm.models import *; torch.manual_seed(0);"
        "print(fingerprint(mnist_cnn()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    torch.manual_seed(0)
    assert done.stdout.strip() == fingerprint(mnist_cnn())


def test_the_fingerprint_of_a_function_is_its_name() -> None:
    assert fingerprint(_same_state) == fingerprint(_same_state)
    assert fingerprint(_same_state) != fingerprint(_trained)
    assert fingerprint(cifar10_cnn()) != fingerprint(mnist_cnn())


class Stepped(nn.Module):
    """A module whose extra state is a number."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def get_extra_state(self) -> Any:
        return self.step


def test_a_state_that_holds_more_than_tensors_is_refused(tmp_path: Path) -> None:
    message = "values that are not tensors, and a weight file can hold tensors only: _extra_state"
    with pytest.raises(InputError, match=message):
        save_weights(Stepped(3), "mnist_cnn", tmp_path / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"w.safetensors cannot be written: .*No such file"):
        save_weights(mnist_cnn(), "mnist_cnn", tmp_path / "missing" / "w.safetensors")


def test_the_fingerprint_covers_extra_state_that_is_not_a_tensor() -> None:
    assert fingerprint(Stepped(3)) == fingerprint(Stepped(3))
    assert fingerprint(Stepped(3)) != fingerprint(Stepped(4))
