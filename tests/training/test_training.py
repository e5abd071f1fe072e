"""Training by a recipe: each run is the same, interrupted or not."""

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm.errors import InputError, OutOfMemoryError, RunConflictError
from minnorm.models import Card, build, fingerprint, load_model, save_weights
from minnorm.runtime import provenance
from minnorm.training import OBJECTIVES, Recipe, checkpoints, load_recipe, train
from training import small_runs
from training.small_runs import assert_same_run, files_in, log_of, recipe_of, stopped


def resumed(recipe: Recipe, folder: Path) -> tuple[list[float], Card]:
    """Continue a run; return the epochs done after each update, and the card."""
    trained: list[float] = []
    card = train(recipe, folder, resume=True, on_progress=lambda done, *_: trained.append(done))
    return trained, card


def copied(undisturbed: tuple[Path, Card], folder: Path) -> Path:
    return Path(shutil.copytree(undisturbed[0], folder / "run"))


def test_the_same_recipe_gives_the_same_weights(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    torch.manual_seed(123)  # what the caller did before does not matter
    seen: list[tuple[float, int, float]] = []

    def on_progress(done: float, of: int, measured: dict[str, float]) -> None:
        seen.append((done, of, measured.get("loss", 0.0)))

    card = train(recipe_of(digits), tmp_path, on_progress=on_progress)
    assert_same_run(tmp_path, card, undisturbed)
    losses = [0.0, *(line["loss"] for line in log_of(tmp_path))]
    assert [done for done, _, _ in seen] == pytest.approx([i / 12 for i in range(1, 37)])
    assert [told[1:] for told in seen] == [(3, losses[i // 12]) for i in range(1, 37)]


def test_workers_are_a_whole_number(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="workers=-1: expected a whole number of at least 0"):
        train(recipe_of(digits), tmp_path / "run", workers=-1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_stopped_after_an_epoch_ends_as_an_uninterrupted_one(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path, stop: int
) -> None:
    def on_progress(done: float, of: int, measured: dict[str, float]) -> None:
        assert done <= of
        assert bool(measured) == (done >= 1)
        if done == stop:
            raise KeyboardInterrupt

    recipe = recipe_of(digits)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, on_progress=on_progress)
    assert len(log_of(tmp_path)) == stop
    assert not (tmp_path / "tiny.json").exists()
    torch.rand(7)  # this changes the state of the global generator
    assert_same_run(tmp_path, train(recipe, tmp_path, resume=True), undisturbed)


def test_a_run_stopped_inside_an_epoch_ends_as_an_uninterrupted_one(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def stops_in_the_second_epoch(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 12 + 5:
            raise KeyboardInterrupt
        return cross_entropy(model(inputs), labels)

    recipe = recipe_of(digits)
    with monkeypatch.context() as patched:
        patched.setitem(OBJECTIVES, "clean", lambda: stops_in_the_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path)
    assert len(log_of(tmp_path)) == 1
    assert_same_run(tmp_path, train(recipe, tmp_path, resume=True), undisturbed)


def test_a_finished_run_is_not_trained_again(undisturbed: tuple[Path, Card], digits: Path) -> None:
    folder, card = undisturbed

    def on_progress(done: float, of: int, measured: dict[str, float]) -> None:
        pytest.fail(f"trained epoch {done} of {of}: {measured}")

    assert train(recipe_of(digits), folder, resume=True, on_progress=on_progress) == card
    assert len(log_of(folder)) == 3


def test_resume_without_a_run_starts_one(digits: Path, tmp_path: Path) -> None:
    trained, card = resumed(recipe_of(digits, epochs=1), tmp_path)
    assert trained[0] == 1 / 12
    assert card.sha256


@pytest.mark.parametrize(
    ("changes", "resume", "message"),
    [
        ({}, False, "holds a run of this recipe: continue it with --resume"),
        ({"seed": 1}, True, "holds a run of another recipe:\n  seed: 0 there, 1 now"),
    ],
)
def test_a_run_that_may_not_be_continued_is_left_alone(
    undisturbed: tuple[Path, Card],
    digits: Path,
    *,
    changes: dict[str, Any],
    resume: bool,
    message: str,
) -> None:
    folder, _ = undisturbed
    before = files_in(folder)
    with pytest.raises(RunConflictError, match=message):
        train(recipe_of(digits, **changes), folder, resume=resume)
    assert files_in(folder) == before


def test_a_recipe_written_before_a_setting_existed_can_be_continued(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder = copied(undisturbed, tmp_path)
    content = (folder / "recipe.json").read_text()
    assert '"augmentation": [],' in content
    (folder / "recipe.json").write_text(content.replace('"augmentation": [],', ""))
    assert train(recipe_of(digits), folder, resume=True).sha256 == undisturbed[1].sha256


def test_a_damaged_checkpoint_costs_one_epoch(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied(undisturbed, tmp_path)
    content = (folder / "last.ckpt").read_bytes()
    (folder / "last.ckpt").write_bytes(content[: len(content) // 2])
    trained, card = resumed(recipe_of(digits), folder)
    assert "last.ckpt is damaged" in caplog.text
    assert "before.ckpt, after epoch 2" in caplog.text
    assert trained[0] == 2 + 1 / 12
    assert trained[-1] == 3
    assert_same_run(folder, card, undisturbed)


def test_with_two_damaged_checkpoints_the_run_starts_again(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder = copied(undisturbed, tmp_path)
    for name in ("last.ckpt", "before.ckpt"):
        (folder / name).write_bytes(b"PK")
    trained, card = resumed(recipe_of(digits), folder)
    assert trained[0] == 1 / 12
    assert trained[-1] == 3
    assert_same_run(folder, card, undisturbed)


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
        {"name": "sgd", "learning_rate": 0.05, "momentum": 0.0},
        {"name": "sgd", "learning_rate": 0.05, "nesterov": True},
    ],
)
def test_every_optimizer_can_be_continued(
    digits: Path, tmp_path: Path, optimizer: dict[str, Any]
) -> None:
    recipe = recipe_of(digits, optimizer=optimizer)
    expected = (tmp_path / "whole", train(recipe, tmp_path / "whole"))
    folder = stopped(recipe, tmp_path / "run")
    again = load_recipe(folder / "recipe.json", trust=True)
    assert again == recipe
    assert_same_run(folder, train(again, folder, resume=True), expected)


def test_an_average_and_a_schedule_can_be_continued(digits: Path, tmp_path: Path) -> None:
    recipe = recipe_of(digits, ema=0.9, schedule={"name": "cosine", "warmup": 1.5})
    expected = (tmp_path / "whole", train(recipe, tmp_path / "whole"))
    folder = stopped(recipe, tmp_path / "run", 1.25)
    assert_same_run(folder, train(recipe, folder, resume=True), expected)


def test_the_card_names_all_sessions(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(digits)
    for revision, epochs in (("first", 1), ("second", 2)):
        monkeypatch.setattr(provenance, "revision", lambda revision=revision: revision)
        stopped(recipe, tmp_path, epochs, resume=True)
    monkeypatch.setattr(provenance, "revision", lambda: "third")
    card = train(recipe, tmp_path, resume=True)
    assert [session["revision"] for session in card.sessions] == ["first", "second", "third"]
    monkeypatch.setattr(provenance, "revision", lambda: "fourth")  # this session trains nothing
    assert train(recipe, tmp_path, resume=True) == card


def test_a_checkpoint_of_another_network_is_refused_and_left_alone(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(digits)
    folder = stopped(recipe, tmp_path / "run")
    before = files_in(folder)
    wider = lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 96), nn.Linear(96, 10))  # noqa: E731
    monkeypatch.setattr(small_runs, "network", wider)
    with pytest.raises(RunConflictError, match=r"last.ckpt belongs to another network, or to ano"):
        train(recipe, folder, resume=True)
    assert files_in(folder) == before


def test_a_disk_that_cannot_be_read_does_not_start_the_run_again(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(digits)
    folder = stopped(recipe, tmp_path / "run")
    before = files_in(folder)
    monkeypatch.setattr(torch, "load", Mock(side_effect=OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output error"):
        train(recipe, folder, resume=True)
    assert files_in(folder) == before


def test_a_run_is_not_continued_with_other_data(digits: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(digits, tmp_path / "digits.npz"))
    recipe = recipe_of(file)
    folder = stopped(recipe, tmp_path / "run")
    content = dict(np.load(file))
    np.savez(file, images=content["images"], labels=(content["labels"] + 1) % 10)
    before = files_in(folder)
    with pytest.raises(RunConflictError, match=r"digits.npz\[:384\], .* changed since the run in"):
        train(recipe, folder, resume=True)
    assert files_in(folder) == before


def test_a_run_is_continued_without_the_network_it_started_from(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    weights = Path(shutil.copy(undisturbed[0] / "tiny.safetensors", tmp_path))
    recipe = recipe_of(digits, initial=f"{weights} + {small_runs.NETWORK}")
    expected = (tmp_path / "whole", train(recipe, tmp_path / "whole"))
    folder = stopped(recipe, tmp_path / "run")
    weights.unlink()
    assert_same_run(folder, train(recipe, folder, resume=True), expected)


def test_the_folder_is_locked_before_its_checkpoint_is_read(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stopped(recipe_of(digits), tmp_path / "run")
    read = checkpoints.newest

    def newest(*given: Any) -> Any:
        with pytest.raises(Timeout):
            FileLock(folder / ".lock", timeout=0).acquire()
        return read(*given)

    monkeypatch.setattr(checkpoints, "newest", newest)
    train(recipe_of(digits), folder, resume=True)
    with FileLock(folder / ".lock", timeout=0):
        pass


def test_a_fixed_network_that_changed_is_refused(digits: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    spec = f"{other} + {small_runs.NETWORK}"
    save_weights(build(small_runs.NETWORK), small_runs.NETWORK, other)
    recipe = recipe_of(digits, initial=spec, objective=f"ensemble(models=['{spec}'], epsilon=0.1)")
    folder = stopped(recipe, tmp_path / "run")
    held = other.read_bytes()
    save_weights(build(small_runs.NETWORK), small_runs.NETWORK, other)
    with pytest.raises(RunConflictError, match="network 1 of the objective of epoch 1 changed sin"):
        train(recipe, folder, resume=True)
    other.write_bytes(held)
    card = train(recipe, folder, resume=True)
    assert len(card.fingerprints) == 5
    assert card.fingerprints[spec] == fingerprint(load_model(spec))


def test_another_number_of_threads_is_warned_of(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("minnorm.runtime.provenance.revision", lambda: "abc")
    folder = stopped(recipe_of(digits), tmp_path / "run", 1)
    stopped(recipe_of(digits), folder, 2, resume=True)
    assert "may differ in rounding" not in caplog.text
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    train(recipe_of(digits), folder, resume=True)
    assert f"other versions or settings (threads {threads}, then {threads + 1})" in caplog.text


def test_the_weights_of_the_last_epoch_are_kept_too(digits: Path, tmp_path: Path) -> None:
    card = train(recipe_of(digits, ema=0.5), tmp_path)
    last = load_model(f"{tmp_path}/tiny-last.safetensors + {card.architecture}")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["average"]
    for name, value in last.state_dict().items():
        assert value.equal(state[f"module.{name}"])


class Exhausting(nn.Module):
    """A network with a backward pass that fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)
        self.error = error

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.layer(inputs.flatten(1))
        if logits.requires_grad:
            logits.register_hook(self._fail)  # type: ignore[no-untyped-call]
        return logits

    def _fail(self, _: Tensor) -> None:
        raise self.error


def exhausting(kind: str) -> nn.Module:
    kinds = {"memory": torch.OutOfMemoryError("CUDA out of memory"), "other": RuntimeError("odd")}
    return Exhausting(kinds[kind])


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("memory", OutOfMemoryError, r"not enough memory for batch_size=32 \(epoch 1.*lower it"),
        ("other", InputError, "epoch 1 failed: RuntimeError: odd"),
    ],
)
def test_errors_of_the_device_are_explained(
    digits: Path, tmp_path: Path, kind: str, error: type[Exception], message: str
) -> None:
    recipe = recipe_of(digits, architecture=f"{__name__}:exhausting(kind={kind!r})")
    with pytest.raises(error, match=message):
        train(recipe, tmp_path)
