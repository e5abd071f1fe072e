"""A run goes on where it was stopped, whatever happened to its files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm.runtime import 
from minnorm.files import remove_partial_files, write_tensors
from minnorm.models import Card, build, fingerprint, load_model, save_weights
from minnorm.training import OBJECTIVES, Recipe, checkpoints, load_recipe, train
from training import small_runs
from training.small_runs import assert_same_run, files_in, log_of, on_full_disk, recipe_of, stopped


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


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_stopped_after_an_epoch_ends_as_if_it_had_not_been(
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
    torch.rand(7)  # the state of the global generator is another one now
    assert_same_run(tmp_path, train(recipe, tmp_path, resume=True), undisturbed)


def test_a_run_stopped_inside_an_epoch_ends_as_if_it_had_not_been(
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


def test_a_run_that_is_finished_is_not_trained_again(
    undisturbed: tuple[Path, Card], digits: Path
) -> None:
    folder, card = undisturbed

    def on_progress(done: float, of: int, measured: dict[str, float]) -> None:
        pytest.fail(f"trained epoch {done} of {of}: {measured}")

    assert train(recipe_of(digits), folder, resume=True, on_progress=on_progress) == card
    assert len(log_of(folder)) == 3


def test_a_recipe_written_before_a_setting_existed_is_the_same_recipe(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    content = json.loads((folder / "recipe.json").read_text())
    del content["augmentation"]
    (folder / "recipe.json").write_text(json.dumps(content))
    assert train(recipe_of(digits), folder, resume=True).sha256 == undisturbed[1].sha256


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epochs": 4}, {"name": "other"}])
def test_a_folder_with_another_recipe_is_refused_and_left_alone(
    undisturbed: tuple[Path, Card], digits: Path, changes: dict[str, Any]
) -> None:
    folder, _ = undisturbed
    before = files_in(folder)
    (name,) = changes
    with pytest.raises(ValueError, match=f"run of another recipe:\n  {name}: .* there, .* now\n"):
        train(recipe_of(digits, **changes), folder, resume=True)
    assert files_in(folder) == before


def test_a_run_that_is_there_goes_on_only_when_told_to(
    undisturbed: tuple[Path, Card], digits: Path
) -> None:
    folder, _ = undisturbed
    before = files_in(folder)
    with pytest.raises(ValueError, match="holds a run of this recipe: go on with it by --resume"):
        train(recipe_of(digits), folder)
    assert files_in(folder) == before


def _resumed(recipe: Recipe, folder: Path) -> tuple[list[float], Card]:
    """Goes on with a run, and tells of the epochs done after each update."""
    trained: list[float] = []
    card = train(recipe, folder, resume=True, on_progress=lambda done, *_: trained.append(done))
    return trained, card


def _cut(content: bytes, length: int) -> bytes:
    return content[:length]


def _overwritten(content: bytes, share: float) -> bytes:
    place = int(share * len(content))
    return (
        content[:place]
        + bytes(byte ^ 255 for byte in content[place : place + 64])
        + (content[place + 64 :])
    )


@pytest.mark.parametrize(
    "damage",
    [
        *(partial(_cut, length=length) for length in (0, 10, 5000, -1)),
        *(partial(_overwritten, share=share) for share in (0.01, 0.25, 0.5, 0.75, 0.99)),
    ],
    ids=["empty", "10 bytes", "5000 bytes", "a byte less", "1 %", "25 %", "50 %", "75 %", "99 %"],
)
def test_a_damaged_checkpoint_costs_one_epoch(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    content = (folder / "last.ckpt").read_bytes()
    (folder / "last.ckpt").write_bytes(damage(content))
    trained, card = _resumed(recipe_of(digits), folder)
    assert "last.ckpt is damaged" in caplog.text
    assert "before.ckpt, after epoch 2" in caplog.text
    assert trained[0] == 2 + 1 / 12
    assert trained[-1] == 3
    assert_same_run(folder, card, undisturbed)


def test_two_damaged_checkpoints_begin_the_run_again(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    for name in ("last.ckpt", "before.ckpt"):
        (folder / name).write_bytes(b"PK")
    trained, card = _resumed(recipe_of(digits), folder)
    assert trained[0] == 1 / 12
    assert trained[-1] == 3
    assert_same_run(folder, card, undisturbed)


@pytest.mark.parametrize(
    ("place", "write", "told"),
    [
        ("torch.save", torch.save, "no checkpoint was written"),
        (
            "minnorm.models.weights.write_tensors",
            write_tensors,
            "the last weights were not written",
        ),
    ],
    ids=["checkpoint", "last weights"],
)
def test_a_full_disk_costs_a_file_and_not_the_run(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    write: Callable[..., None],
    told: str,
) -> None:
    monkeypatch.setattr(place, on_full_disk(write, {2}))
    card = train(recipe_of(digits), tmp_path)
    assert caplog.text.count(told) == 1
    assert_same_run(tmp_path, card, undisturbed)


@pytest.mark.parametrize("fails", [{1}, {3}, {1, 3}, set(range(1, 10))])
def test_weights_that_could_not_be_written_are_there_in_the_end(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: set[int],
) -> None:
    full = on_full_disk(write_tensors, fails)
    monkeypatch.setattr("minnorm.models.weights.write_tensors", full)
    if len(fails) > 2:  # to the end
        with pytest.raises(OSError, match=r"tiny.safetensors cannot be written: .*No space left"):
            train(recipe_of(digits), tmp_path)
        monkeypatch.undo()
        card = train(recipe_of(digits), tmp_path, resume=True)
    else:
        card = train(recipe_of(digits), tmp_path)
    assert caplog.text.count("the best weights were not written") >= 1
    assert_same_run(tmp_path, card, undisturbed)


def test_a_log_that_cannot_be_written_costs_nothing_else(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", full)
    monkeypatch.setattr(checkpoints, "write_log", on_full_disk(checkpoints.write_log, {1}))
    card = train(recipe_of(digits), tmp_path)
    assert "TensorBoard's log was not written" in caplog.text
    assert "the log was not written" in caplog.text
    assert "no checkpoint was written" not in caplog.text
    assert_same_run(tmp_path, card, undisturbed)


def test_checkpoints_without_their_recipe_are_refused_and_left_alone(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    (folder / "recipe.json").unlink()
    before = files_in(folder)
    for resume in (False, True):
        with pytest.raises(ValueError, match=r"checkpoints of a run whose recipe.json is gone"):
            train(recipe_of(digits, seed=1), folder, resume=resume)
    assert files_in(folder) == before


@pytest.mark.slow
def test_ten_kills_change_nothing(digits: Path, tmp_path: Path) -> None:
    recipe = recipe_of(digits, epochs=200, ema=0.9, schedule={"name": "cosine", "warmup": 1.5})
    expected = (tmp_path / "undisturbed", train(recipe, tmp_path / "undisturbed"))
    code = (
        "import sys; from pathlib import Path; from minnorm.training import Recipe, train; "
        "recipe = Recipe.model_validate_json(Path(sys.argv[1]).read_text()); "
        "train(recipe, Path(sys.argv[2]), resume=True)"
    )
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    folder = tmp_path / "run"
    delays = np.random.default_rng(0)

    def epochs() -> int:
        return len(log_of(folder)) if (folder / "log.jsonl").exists() else 0

    for _ in range(10):
        begun = epochs()
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "recipe.json"), str(folder)],
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        deadline = time.monotonic() + 60
        while epochs() == begun and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(float(delays.uniform(0, 0.3)))  # anywhere in an epoch, or in what ends it
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert epochs() > begun
    assert epochs() < 200
    assert_same_run(folder, train(recipe, folder, resume=True), expected)


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
        {"name": "sgd", "learning_rate": 0.05, "momentum": 0.0},
        {"name": "sgd", "learning_rate": 0.05, "nesterov": True},
    ],
)
def test_every_optimizer_goes_on(digits: Path, tmp_path: Path, optimizer: dict[str, Any]) -> None:
    recipe = recipe_of(digits, optimizer=optimizer)
    expected = (tmp_path / "whole", train(recipe, tmp_path / "whole"))
    folder = stopped(recipe, tmp_path / "run")
    again = load_recipe(folder / "recipe.json")
    assert again == recipe
    assert_same_run(folder, train(again, folder, resume=True), expected)


def test_the_card_names_all_that_trained(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(digits)
    for revision, epochs in (("first", 1), ("second", 2)):
        monkeypatch.setattr(runtime, "revision", lambda revision=revision: revision)
        stopped(recipe, tmp_path, epochs, resume=True)
    monkeypatch.setattr(runtime, "revision", lambda: "third")
    card = train(recipe, tmp_path, resume=True)
    assert [session["revision"] for session in card.sessions] == ["first", "second", "third"]
    monkeypatch.setattr(runtime, "revision", lambda: "fourth")  # which has nothing left to do
    assert train(recipe, tmp_path, resume=True) == card


def test_a_checkpoint_of_another_network_is_refused_and_left_alone(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(digits)
    folder = stopped(recipe, tmp_path / "run")
    before = files_in(folder)
    wider = lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 96), nn.Linear(96, 10))  # noqa: E731
    monkeypatch.setattr(small_runs, "network", wider)
    with pytest.raises(ValueError, match=r"last.ckpt is of another network, or another version"):
        train(recipe, folder, resume=True)
    assert files_in(folder) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", "x"),
        ("epoch", -5),
        ("epoch", 7),
        ("best", "x"),
        ("log", 5),
        ("sessions", None),
        ("fingerprints", 5),
    ],
)
def test_a_checkpoint_of_another_form_is_refused(
    digits: Path, tmp_path: Path, name: str, value: object
) -> None:
    recipe = recipe_of(digits)
    folder = stopped(recipe, tmp_path / "run")
    state = torch.load(folder / "last.ckpt", weights_only=True)
    torch.save({**state, name: value}, folder / "last.ckpt")
    before = files_in(folder)
    with pytest.raises(ValueError, match=f"last.ckpt is of another network.* .in {name}."):
        train(recipe, folder, resume=True)
    assert files_in(folder) == before


def test_a_disk_that_does_not_read_does_not_begin_the_run_again(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(digits)
    folder = stopped(recipe, tmp_path / "run")
    before = files_in(folder)
    monkeypatch.setattr(torch, "load", Mock(side_effect=OSError(5, "Input/output error")))
    with pytest.raises(OSError, match="Input/output error"):
        train(recipe, folder, resume=True)
    assert files_in(folder) == before


@pytest.mark.parametrize(("damaged", "renames"), [(False, 0), (False, 1), (True, 0)])
def test_a_kill_while_a_checkpoint_takes_its_place_costs_one(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    damaged: bool,
    renames: int,
) -> None:
    folder = stopped(recipe_of(digits), tmp_path / "run")
    if damaged:  # only the one before it is left
        (folder / "last.ckpt").write_bytes(b"PK")
    rename, done = Path.replace, 0

    def killed(path: Path, target: Path) -> Path:
        nonlocal done
        if path.suffix in (".ckpt", ".new"):
            if done == renames:
                raise KeyboardInterrupt
            done += 1
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            train(recipe_of(digits), folder, resume=True)
    trained, card = _resumed(recipe_of(digits), folder)
    assert trained[0] == (1 if damaged else 2) + 1 / 12
    assert_same_run(folder, card, undisturbed)


def test_the_systems_temporary_folder_may_be_full(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    folder = stopped(recipe_of(digits), tmp_path / "run", epochs=1)
    assert (folder / "last.ckpt").exists()


def test_a_pickle_in_place_of_a_checkpoint_is_not_run(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "was run",))

    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    torch.save({"epoch": Attack()}, folder / "last.ckpt")
    assert_same_run(folder, train(recipe_of(digits), folder, resume=True), undisturbed)
    assert not (tmp_path / "was run").exists()


def test_a_run_does_not_go_on_with_other_data(digits: Path, tmp_path: Path) -> None:
    file = Path(shutil.copy(digits, tmp_path / "digits.npz"))
    recipe = recipe_of(file)
    folder = stopped(recipe, tmp_path / "run")
    content = dict(np.load(file))
    np.savez(file, images=content["images"], labels=(content["labels"] + 1) % 10)
    before = files_in(folder)
    with pytest.raises(ValueError, match=r"digits.npz\[:384\], .* changed since .*run was begun"):
        train(recipe, folder, resume=True)
    assert files_in(folder) == before


def test_a_run_goes_on_without_the_network_it_began_with(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    weights = Path(shutil.copy(undisturbed[0] / "tiny.safetensors", tmp_path))
    recipe = recipe_of(digits, initial=f"{weights} + {small_runs.NETWORK}")
    expected = (tmp_path / "whole", train(recipe, tmp_path / "whole"))
    folder = stopped(recipe, tmp_path / "run")
    weights.unlink()
    assert_same_run(folder, train(recipe, folder, resume=True), expected)


def test_a_folder_in_which_another_process_works_is_refused(digits: Path, tmp_path: Path) -> None:
    recipe = recipe_of(digits)
    folder = stopped(recipe, tmp_path / "run")
    with (
        FileLock(folder / ".lock"),
        pytest.raises(ValueError, match="another process is working in"),
    ):
        train(recipe, folder, resume=True)
    train(recipe, folder, resume=True)


def test_no_other_process_writes_between_reading_and_going_on(
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
    with pytest.raises(ValueError, match="network 1 of the objective of epoch 1 changed since"):
        train(recipe, folder, resume=True)
    other.write_bytes(held)
    card = train(recipe, folder, resume=True)
    assert len(card.fingerprints) == 5
    assert card.fingerprints[spec] == fingerprint(load_model(spec))


def test_going_on_with_another_number_of_threads_is_warned_of(
    digits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = stopped(recipe_of(digits), tmp_path / "run", 1)
    stopped(recipe_of(digits), folder, 2, resume=True)
    assert "to the bit" not in caplog.text
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        train(recipe_of(digits), folder, resume=True)
    finally:
        torch.set_num_threads(threads)
    assert f"the run began with threads {threads}, now {threads + 1}: it goes on" in caplog.text


def test_the_weights_of_the_last_epoch_are_kept_too(digits: Path, tmp_path: Path) -> None:
    card = train(recipe_of(digits, ema=0.5), tmp_path)
    last = load_model(f"{tmp_path}/tiny-last.safetensors + {card.architecture}")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["average"]
    for name, value in last.state_dict().items():
        assert value.equal(state[f"module.{name}"])


def test_what_a_kill_left_half_written_goes(digits: Path, tmp_path: Path) -> None:
    folder = stopped(recipe_of(digits), tmp_path / "run")
    (folder / ".last.ckpt.new.123.tmp").write_text("half")
    train(recipe_of(digits), folder, resume=True)
    assert not list(folder.glob("*.tmp"))


def test_what_a_kill_left_of_weights_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", Mock(side_effect=KeyboardInterrupt))
    monkeypatch.setattr(Path, "unlink", Mock())  # as if there had been no time for it
    with pytest.raises(KeyboardInterrupt):
        save_weights(small_runs.network(), small_runs.NETWORK, tmp_path / "x.safetensors")
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 1
    remove_partial_files(tmp_path)
    assert not list(tmp_path.iterdir())


def test_tensorboard_shows_an_epoch_that_was_done_again_once(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    (folder / "last.ckpt").unlink()
    train(recipe_of(digits), folder, resume=True)
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]
