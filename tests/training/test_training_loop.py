"""The training loop: it learns, writes what it says, and goes on where it was stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm import runtime
from minnorm.data import from_arrays, load_data
from minnorm.models import Card, Normalized, load_model
from minnorm.models.weights import file_sha256
from minnorm.training import (
    OBJECTIVES,
    Adversarial,
    Objective,
    Recipe,
    accuracy,
    checkpoints,
    load_recipe,
    robust_accuracy,
    train,
)
from minnorm.training.recipe import RobustValidation
from training.small_runs import digits_file, on_full_disk


def network(dropout: float = 0.2) -> nn.Module:
    """Gives a network that learns in seconds and has all that a resumed run must restore."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(64, 10),
    )


@pytest.fixture(autouse=True)
def _same_generator_afterwards() -> Iterator[None]:
    """Training seeds the global generators; the other tests should not see it."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives a file of 512 images of digits."""
    return digits_file(tmp_path_factory.mktemp("digits"), 512)


def _recipe(digits: Path, **changes: Any) -> Recipe:
    content = {
        "name": "tiny",
        "architecture": f"{__name__}:network",
        "data": f"{digits}[:384]",
        "validation": f"{digits}[384:448]",
        "test": f"{digits}[448:]",
        "epochs": 3,
        "batch_size": 32,
        "optimizer": {"learning_rate": 0.05},
        "schedule": {"name": "milestones", "milestones": [2]},
    }
    return Recipe.model_validate({**content, **changes})


def _log(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def _files(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def undisturbed(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Card]:
    """Gives the folder and the card of a run of three epochs that nothing stopped."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    return folder, train(_recipe(digits), folder)


def test_training_learns(undisturbed: tuple[Path, Card]) -> None:
    folder, card = undisturbed
    losses = [line["loss"] for line in _log(folder)]
    assert losses[-1] < 0.5 * losses[0]
    assert min(card.accuracy.values()) > 0.6


def test_the_log_has_a_line_for_each_epoch(undisturbed: tuple[Path, Card]) -> None:
    lines = _log(undisturbed[0])
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["learning_rate"] for line in lines] == pytest.approx([0.05, 0.05, 0.005])
    for line in lines:
        assert line["seconds"] >= 0
        assert 0 <= line["validation_accuracy"] <= 1


def test_the_folder_holds_what_the_zoo_is_made_of(
    undisturbed: tuple[Path, Card], digits: Path
) -> None:
    folder, card = undisturbed
    assert sorted(file.name for file in folder.iterdir()) == [
        "before.ckpt",
        "last.ckpt",
        "log.jsonl",
        "recipe.json",
        "tensorboard",
        "tiny.json",
        "tiny.safetensors",
    ]
    recipe = _recipe(digits)
    assert load_recipe(folder / "recipe.json") == recipe
    assert Card.model_validate_json((folder / "tiny.json").read_text()) == card
    assert (card.name, card.data) == ("tiny", recipe.data)
    assert Recipe.model_validate(card.recipe) == recipe
    assert card.sha256 == file_sha256(folder / "tiny.safetensors")
    assert (folder / "tiny.safetensors").stat().st_mode == (folder / "recipe.json").stat().st_mode
    assert card.revision == runtime.revision()
    assert card.versions == runtime.versions()


def test_the_card_says_the_accuracy_of_the_weights_of_the_best_epoch(
    undisturbed: tuple[Path, Card], digits: Path
) -> None:
    folder, card = undisturbed
    recipe = _recipe(digits)
    model = load_model(str(folder / "tiny.safetensors"), trust=True)
    assert card.accuracy == {
        spec: accuracy(model, load_data(spec)) for spec in (recipe.validation, recipe.test)
    }
    best = max(line["validation_accuracy"] for line in _log(folder))
    assert card.accuracy[recipe.validation] == best


def _assert_same_run(folder: Path, card: Card, undisturbed: tuple[Path, Card]) -> None:
    other, other_card = undisturbed
    assert card == other_card
    assert (folder / "tiny.safetensors").read_bytes() == (other / "tiny.safetensors").read_bytes()
    states = [torch.load(f / "last.ckpt", weights_only=True)["module"] for f in (folder, other)]
    for name in states[0]:
        assert states[0][name].equal(states[1][name])
    measured = [
        [{key: line[key] for key in line if key != "seconds"} for line in _log(f)]
        for f in (folder, other)
    ]
    assert measured[0] == measured[1]


def test_the_same_recipe_gives_the_same_weights(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    torch.manual_seed(123)  # what the caller did before does not matter
    seen: list[tuple[float, int, float]] = []

    def on_progress(done: float, of: int, measured: dict[str, float]) -> None:
        seen.append((done, of, measured.get("loss", 0.0)))

    card = train(_recipe(digits), tmp_path, on_progress=on_progress)
    _assert_same_run(tmp_path, card, undisturbed)
    losses = [0.0, *(line["loss"] for line in _log(tmp_path))]
    assert [done for done, _, _ in seen] == pytest.approx([i / 12 for i in range(1, 37)])
    assert [told[1:] for told in seen] == [(3, losses[i // 12]) for i in range(1, 37)]


def test_another_seed_gives_other_weights(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    train(_recipe(digits, epochs=1, seed=1), tmp_path)
    assert _log(tmp_path)[0]["loss"] != _log(undisturbed[0])[0]["loss"]


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_run_stopped_after_an_epoch_ends_as_if_it_had_not_been(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path, stop: int
) -> None:
    def on_progress(done: float, of: int, measured: dict[str, float]) -> None:
        assert done <= of
        assert bool(measured) == (done >= 1)
        if done == stop:
            raise KeyboardInterrupt

    recipe = _recipe(digits)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path, on_progress=on_progress)
    assert len(_log(tmp_path)) == stop
    assert not (tmp_path / "tiny.json").exists()
    torch.rand(7)  # the state of the global generator is another one now
    _assert_same_run(tmp_path, train(recipe, tmp_path, resume=True), undisturbed)


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

    recipe = _recipe(digits)
    with monkeypatch.context() as patched:
        patched.setitem(OBJECTIVES, "clean", lambda: stops_in_the_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path)
    assert len(_log(tmp_path)) == 1
    _assert_same_run(tmp_path, train(recipe, tmp_path, resume=True), undisturbed)


def test_a_run_that_is_finished_is_not_trained_again(
    undisturbed: tuple[Path, Card], digits: Path
) -> None:
    folder, card = undisturbed

    def on_progress(done: float, of: int, measured: dict[str, float]) -> None:
        pytest.fail(f"trained epoch {done} of {of}: {measured}")

    assert train(_recipe(digits), folder, resume=True, on_progress=on_progress) == card
    assert len(_log(folder)) == 3


def test_a_recipe_written_before_a_setting_existed_is_the_same_recipe(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    content = json.loads((folder / "recipe.json").read_text())
    del content["augmentation"]
    (folder / "recipe.json").write_text(json.dumps(content))
    assert train(_recipe(digits), folder, resume=True).sha256 == undisturbed[1].sha256


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epochs": 4}, {"name": "other"}])
def test_a_folder_with_another_recipe_is_refused_and_left_alone(
    undisturbed: tuple[Path, Card], digits: Path, changes: dict[str, Any]
) -> None:
    folder, _ = undisturbed
    before = _files(folder)
    (name,) = changes
    with pytest.raises(ValueError, match=f"run of another recipe:\n  {name}: .* there, .* now\n"):
        train(_recipe(digits, **changes), folder, resume=True)
    assert _files(folder) == before


def test_a_run_that_is_there_goes_on_only_when_told_to(
    undisturbed: tuple[Path, Card], digits: Path
) -> None:
    folder, _ = undisturbed
    before = _files(folder)
    with pytest.raises(ValueError, match="holds a run of this recipe: go on with it by --resume"):
        train(_recipe(digits), folder)
    assert _files(folder) == before


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
    trained: list[float] = []
    card = train(
        _recipe(digits), folder, resume=True, on_progress=lambda done, *_: trained.append(done)
    )
    assert "last.ckpt is damaged" in caplog.text
    assert "before.ckpt, after epoch 2" in caplog.text
    assert trained[0] == 2 + 1 / 12
    assert trained[-1] == 3
    _assert_same_run(folder, card, undisturbed)


def test_two_damaged_checkpoints_begin_the_run_again(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    for name in ("last.ckpt", "before.ckpt"):
        (folder / name).write_bytes(b"PK")
    trained: list[float] = []
    card = train(
        _recipe(digits), folder, resume=True, on_progress=lambda done, *_: trained.append(done)
    )
    assert trained[0] == 1 / 12
    assert trained[-1] == 3
    _assert_same_run(folder, card, undisturbed)


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(torch, "save", on_full_disk(torch.save, {2}))
    card = train(_recipe(digits), tmp_path)
    assert "no checkpoint was written" in caplog.text
    _assert_same_run(tmp_path, card, undisturbed)


@pytest.mark.parametrize("fails", [{1}, {2}, {1, 2}, set(range(1, 10))])
def test_weights_that_could_not_be_written_are_there_in_the_end(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: set[int],
) -> None:
    full = on_full_disk(save_file, fails, SafetensorError)
    monkeypatch.setattr("minnorm.models.weights.save_file", full)
    if len(fails) > 2:  # to the end
        with pytest.raises(OSError, match=r"tiny.safetensors cannot be written: .*No space left"):
            train(_recipe(digits), tmp_path)
        monkeypatch.undo()
        card = train(_recipe(digits), tmp_path, resume=True)
    else:
        card = train(_recipe(digits), tmp_path)
    assert caplog.text.count("the best weights were not written") >= 1
    _assert_same_run(tmp_path, card, undisturbed)


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
    card = train(_recipe(digits), tmp_path)
    assert "TensorBoard's log was not written" in caplog.text
    assert "the log was not written" in caplog.text
    assert "no checkpoint was written" not in caplog.text
    _assert_same_run(tmp_path, card, undisturbed)


def test_checkpoints_without_their_recipe_are_refused_and_left_alone(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "run"))
    (folder / "recipe.json").unlink()
    before = _files(folder)
    for resume in (False, True):
        with pytest.raises(ValueError, match=r"checkpoints of a run whose recipe.json is gone"):
            train(_recipe(digits, seed=1), folder, resume=resume)
    assert _files(folder) == before


@pytest.mark.slow
def test_ten_kills_change_nothing(digits: Path, tmp_path: Path) -> None:
    recipe = _recipe(digits, epochs=200, ema=0.9, schedule={"name": "cosine", "warmup": 1.5})
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
        return len(_log(folder)) if (folder / "log.jsonl").exists() else 0

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
    _assert_same_run(folder, train(recipe, folder, resume=True), expected)


def test_a_batch_that_is_larger_than_the_data_is_refused(digits: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"batch_size=385 does not fit 384 samples of digits.npz"):
        train(_recipe(digits, batch_size=385), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run(digits: Path, tmp_path: Path) -> None:
    recipe = _recipe(digits, optimizer={"learning_rate": 1e12}, epochs=1)
    with pytest.raises(
        ValueError, match=r"the loss became (nan|inf) in epoch 1: lower the learning"
    ):
        train(recipe, tmp_path)
    assert not (tmp_path / "tiny.safetensors").exists()


def test_gradients_that_are_not_finite_are_told_by_the_loss(digits: Path, tmp_path: Path) -> None:
    recipe = _recipe(
        digits, optimizer={"learning_rate": 1e20}, epochs=1, largest_gradient=1.0, schedule={}
    )
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) in epoch 1"):
        train(recipe, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"augmentation": ["ToPILImage"]}, r"augmentation: ToPILImage (raised|gives)"),
        ({"augmentation": ["CutMix(num_classes=10)"]}, r"augmentation: CutMix.* raised"),
        ({"augmentation": ["RandomCrop(size=40)"]}, r"augmentation: RandomCrop.* raised"),
        ({"augmentation": ["Resize(size=14)"]}, r"cannot take inputs of shape \[2, 1, 14, 14\]"),
        ({"precision": "16-mixed"}, "16-mixed needs a GPU"),
    ],
)
def test_what_cannot_be_trained_with_leaves_no_folder(
    digits: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        train(_recipe(digits, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_largest_seed_is_as_good_as_any(digits: Path, tmp_path: Path) -> None:
    train(_recipe(digits, epochs=1, seed=2**32 - 1), tmp_path)
    assert len(_log(tmp_path)) == 1


@pytest.mark.parametrize(
    ("objective", "forwards", "gradients"),
    [
        ("clean", 0, 0),
        ("madry(epsilon=0.5, steps=3)", 3, 3),
        ("ddn(max_norm=0.5, steps=5)", 6, 5),  # the last point is looked at too
        ("ensemble(models=['zoo:mnist-cnn'], epsilon=0.1)", 1, 1),
        ("trades(epsilon=0.1, steps=2)", 3, 2),
    ],
)
def test_what_attacks_ask_is_counted(
    digits: Path, tmp_path: Path, objective: str, forwards: float, gradients: float
) -> None:
    card = train(_recipe(digits, objective=objective, epochs=1), tmp_path)
    assert card.forwards_per_image == forwards
    assert card.gradients_per_image == gradients


def test_gradients_are_backward_passes(digits: Path, tmp_path: Path) -> None:
    attack = "closest(max_norm=1, attack='deepfool(steps=2)')"
    card = train(_recipe(digits, objective=attack, epochs=1), tmp_path)
    assert card.forwards_per_image is not None
    assert card.gradients_per_image is not None
    assert card.gradients_per_image > 2 * card.forwards_per_image  # one for each candidate


def test_the_average_is_the_one_of_its_formula(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[Tensor]] = []
    step = torch.optim.SGD.step

    def watched(optimizer: torch.optim.SGD, *given: Any, **named: Any) -> Any:
        done = step(optimizer, *given, **named)
        (group,) = optimizer.param_groups
        seen.append([weight.detach().clone() for weight in group["params"]])
        return done

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    train(_recipe(digits, epochs=1, ema=0.75), tmp_path)
    expected = seen[0]  # the first update sets it
    for weights in seen[1:]:
        expected = [0.75 * old + 0.25 * new for old, new in zip(expected, weights, strict=True)]
    network = load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    for weight, average in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.detach(), average)


def test_what_is_compiled_is_what_the_attack_asks_too(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def compiled(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        network: nn.Module = forward.__self__  # type: ignore[attr-defined]

        def run(inputs: Tensor) -> Tensor:
            asked.append(network.training)
            return forward(inputs)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    recipe = _recipe(digits, objective="madry(epsilon=0.5, steps=2)", epochs=1, compile=True)
    train(recipe, tmp_path)
    batches = 12
    assert asked[: 3 * batches] == [False, False, True] * batches


def in_words(model: nn.Module, inputs: Tensor, labels: Tensor) -> object:
    return f"{len(inputs)} inputs, {len(labels)} labels of {model}"


def of_each_sample(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(model(inputs), labels, reduction="none")


def detached(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(model(inputs), labels).detach()


def failing(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    raise KeyError(f"no weight for {len(labels)} of {model(inputs).shape}")


def objective_that_is(name: str) -> object:
    return globals()[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("in_words", "the objective gave a str; expected a scalar tensor"),
        ("of_each_sample", r"the objective gave torch.float32 of shape \[32\]; expected a scalar"),
        ("detached", "without a gradient"),
        ("failing", "the objective raised KeyError: 'no weight for 32"),
    ],
)
def test_what_an_objective_of_ones_own_does_wrong_is_told(
    digits: Path, tmp_path: Path, name: str, message: str
) -> None:
    objective = f"test_training_loop:objective_that_is(name={name!r})"
    with pytest.raises(ValueError, match=message):
        train(_recipe(digits, objective=objective), tmp_path)


def test_a_folder_that_cannot_be_the_runs_is_named(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file is a file: --out names the folder of the run"):
        train(_recipe(digits), tmp_path / "file")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match=r"recipe.json is damaged, or no recipe of this version"):
        train(_recipe(digits), tmp_path / "run")


def test_an_objective_holds_from_its_epoch_on(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []

    def numbered(*, number: int) -> Objective:
        def objective(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
            used.append(number)
            return cross_entropy(model(inputs), labels)

        return objective

    monkeypatch.setitem(OBJECTIVES, "numbered", numbered)
    objectives = {1: "numbered(number=1)", 3: "numbered(number=3)", 4: "numbered(number=4)"}
    gentle = {"learning_rate": 1e-9, "momentum": 0.0}
    recipe = _recipe(digits, objective=objectives, epochs=5, optimizer=gentle, schedule={})
    train(recipe, tmp_path)
    assert used == [1] * 24 + [3] * 12 + [4] * 24


def test_a_warm_start_begins_where_the_sample_was_the_last_time(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: dict[bytes, list[float]] = {}

    def perturb(
        model: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator, starts: Tensor
    ) -> Tensor:
        assert not model.training
        assert len(labels) == len(inputs)
        assert generator.device == inputs.device
        for image, start in zip(inputs, starts, strict=True):
            begun.setdefault(image.numpy().tobytes(), []).append(
                float(start[0, 0, 0] - image[0, 0, 0])
            )
        moved = starts.clone()
        moved[:, 0, 0, 0] += 0.25
        return moved

    def loss(model: nn.Module, inputs: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        assert points.shape == inputs.shape
        return cross_entropy(model(points), labels)

    makes = lambda: Adversarial(perturb, loss, warm_start=True)  # noqa: E731
    monkeypatch.setitem(OBJECTIVES, "clean", makes)
    train(_recipe(digits, epochs=3), tmp_path)
    assert len(begun) == 384
    assert all(moves == [0, 0.25, 0.5] for moves in begun.values())


def test_a_warm_start_is_the_same_in_a_run_that_was_stopped(digits: Path, tmp_path: Path) -> None:
    objective = "ddn(max_norm=1.0, steps=2, gamma=0.3, warm_start=True)"
    recipe = _recipe(digits, objective=objective)
    undisturbed = (tmp_path / "undisturbed", train(recipe, tmp_path / "undisturbed"))

    def on_progress(done: float, *_: object) -> None:
        if done > 1.5:
            raise KeyboardInterrupt

    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder, on_progress=on_progress)
    _assert_same_run(folder, train(recipe, folder, resume=True), undisturbed)
    cold = train(_recipe(digits, objective=objective.replace("True", "False")), tmp_path / "cold")
    assert cold.sha256 != undisturbed[1].sha256


def test_the_best_epoch_is_one_of_the_last_objective(digits: Path, tmp_path: Path) -> None:
    # What is learned first is forgotten: by accuracy, the first epochs are the best.
    worse = "trades(epsilon=0.9, beta=1000.0, steps=1)"
    recipe = _recipe(digits, objective={1: "clean", 4: worse}, epochs=5)
    card = train(recipe, tmp_path)
    reached = [line["validation_accuracy"] for line in _log(tmp_path)]
    assert card.accuracy[recipe.validation] == max(reached[3:]) < max(reached[:3])


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.01}},
        {"largest_gradient": 0.5},
        {"compile": True},
        {"ema": 0.9},
        {"objective": "clean(label_smoothing=0.1)"},
        {"schedule": {"name": "linear", "warmup": 0.5}},
    ],
)
def test_it_learns_with_each_of_the_settings_and_otherwise_than_without(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    recipe = _recipe(digits, **changes)
    card = train(recipe, tmp_path)
    assert min(card.accuracy.values()) > 0.5
    load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    losses = [line["loss"] for line in _log(tmp_path)]
    assert losses[-1] < losses[0]
    if "compile" not in changes and "ema" not in changes:
        assert losses != [line["loss"] for line in _log(undisturbed[0])]


def test_clipping_bounds_the_step(digits: Path, tmp_path: Path) -> None:
    plain = {"learning_rate": 0.05, "momentum": 0.0}
    recipe = _recipe(digits, largest_gradient=1e-6, optimizer=plain, epochs=1)
    train(recipe, tmp_path)
    torch.manual_seed(recipe.seed)
    before = dict(network().named_parameters())
    after = load_model(str(tmp_path / "tiny.safetensors"), trust=True).named_parameters()
    moved = torch.cat([(value - before[name]).flatten() for name, value in after])
    assert 0 < moved.norm() <= 12 * 0.05 * 1e-6 * (1 + 1e-3)


def test_robust_validation_chooses_the_best_epoch(digits: Path, tmp_path: Path) -> None:
    validation = {"attack": "ddn(steps=20)", "epsilon": 0.5, "images": 64}
    card = train(_recipe(digits, robust_validation=validation), tmp_path)
    lines = _log(tmp_path)
    model = load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    data = load_data(f"{digits}[384:448]")
    best = robust_accuracy(model, data, RobustValidation.model_validate(validation))
    assert best == max(line["robust_accuracy"] for line in lines)
    assert all(line["robust_accuracy"] < line["validation_accuracy"] for line in lines)
    test = robust_accuracy(
        model, load_data(f"{digits}[448:]"), RobustValidation.model_validate(validation)
    )
    name = f"{digits}[448:], first 64: ddn(steps=20) within 0.5"
    assert card.robust_accuracy == {name: test}


def test_tensorboard_shows_what_the_log_says(digits: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(_recipe(digits), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    shown = [event.value for event in events.Scalars("loss")]
    assert shown == pytest.approx([line["loss"] for line in _log(tmp_path)])


def test_a_network_that_gets_nothing_right_is_still_a_result(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((64, 1, 28, 28), np.float32)
    np.savez(tmp_path / "zeros.npz", images=images, labels=np.zeros(64, int))
    np.savez(tmp_path / "nines.npz", images=images, labels=np.full(64, 9))
    recipe = _recipe(
        tmp_path,
        data=f"{tmp_path}/zeros.npz",
        validation=f"{tmp_path}/nines.npz[:32]",
        test=f"{tmp_path}/nines.npz[32:]",
        epochs=2,
    )
    card = train(recipe, tmp_path / "run")
    assert set(card.accuracy.values()) == {0}


def test_the_weights_stay_in_float32_in_mixed_precision(digits: Path, tmp_path: Path) -> None:
    recipe = _recipe(digits, precision="bf16-mixed", architecture="mnist_cnn", epochs=1)
    card = train(recipe, tmp_path)
    model = load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert card.sha256 == file_sha256(tmp_path / "tiny.safetensors")


def test_of_a_normalized_the_weights_are_found_again(digits: Path, tmp_path: Path) -> None:
    architecture = f"{__name__}:network(mean=[0.13], std=[0.31])"
    card = train(_recipe(digits, architecture=architecture, epochs=1), tmp_path)
    model = load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    assert card.accuracy[f"{digits}[448:]"] == accuracy(model, load_data(f"{digits}[448:]"))
    assert isinstance(model, Normalized)
    assert model.mean.tolist() == pytest.approx([0.13])


def test_every_step_takes_a_full_batch_of_the_data_in_another_order(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[Tensor] = []

    def records(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        assert model.training
        batches.append(inputs.clone())
        return cross_entropy(model(inputs), labels)

    monkeypatch.setitem(OBJECTIVES, "clean", lambda: records)
    train(_recipe(digits, epochs=2, batch_size=100), tmp_path)
    assert [len(batch) for batch in batches] == [100] * 6  # 84 of 384 are left out
    epochs = [torch.cat(batches[:3]).flatten(1), torch.cat(batches[3:]).flatten(1)]
    known = {row.numpy().tobytes() for row in load_data(str(digits)).batch(range(384))[0]}
    for epoch in epochs:
        rows = {row.numpy().tobytes() for row in epoch}
        assert len(rows) == 300
        assert rows <= known
    assert not epochs[0].equal(epochs[1])


class Counts(nn.Module):
    """Says the class that the input names; wrong in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.frozen = nn.BatchNorm1d(1).eval()

    def forward(self, inputs: Tensor) -> Tensor:
        classes = torch.arange(10) + (1 if self.training else 0)
        return -(inputs - self.weight * classes).abs()


def test_accuracy_is_the_share_of_correct_predictions_in_evaluation_mode() -> None:
    inputs = torch.arange(8, dtype=torch.float32)[:, None]
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 0, 0])
    data = from_arrays("x", inputs, labels)
    for batch_size in (1, 3, 8, 100):
        assert accuracy(Counts(), data, batch_size) == 6 / 8
    assert accuracy(Counts(), data[6:]) == 0


@pytest.mark.parametrize("training", [False, True])
def test_accuracy_restores_the_mode_of_every_part(training: bool) -> None:
    model = Counts().train(training)
    model.frozen.eval()
    accuracy(model, from_arrays("x", torch.zeros(2, 1), torch.tensor([0, 1])))
    assert model.training == training
    assert not model.frozen.training


def test_accuracy_restores_the_mode_when_the_model_raises() -> None:
    model = Counts().train()
    with pytest.raises(RuntimeError):
        accuracy(model, from_arrays("x", torch.zeros(2, 3), torch.tensor([0, 1])))
    assert model.training


def test_accuracy_takes_models_without_parameters() -> None:
    data = from_arrays("x", torch.eye(3), torch.tensor([0, 1, 0]))
    assert accuracy(nn.Identity(), data) == pytest.approx(2 / 3)


def test_a_run_can_begin_with_a_trained_network(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    folder, card = undisturbed
    weights = f"{folder / 'tiny.safetensors'} + {__name__}:network"
    gentle = {"learning_rate": 1e-9, "momentum": 0.0}
    again = train(_recipe(digits, initial=weights, optimizer=gentle, epochs=1), tmp_path)
    for name, reached in card.accuracy.items():
        assert again.accuracy[name] == pytest.approx(reached, abs=0.1)  # batch norm goes on


def test_a_network_of_another_architecture_cannot_be_begun_with(
    digits: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="initial: 'zoo:mnist-cnn' is no network of the archi"):
        train(_recipe(digits, initial="zoo:mnist-cnn"), tmp_path)


@pytest.mark.parametrize(
    "augmentation",
    [["RandomHorizontalFlip(p=0.5)"], ["RandomCrop(size=28, padding=4)"]],
    ids=["flips", "crops"],
)
def test_a_warm_start_moves_with_the_image(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, augmentation: list[str]
) -> None:
    errors: list[float] = []

    def perturb(
        model: nn.Module, inputs: Tensor, labels: Tensor, generator: Generator, starts: Tensor
    ) -> Tensor:
        assert not model.training
        assert len(labels) == len(inputs)
        assert generator.device == inputs.device
        # Half of the way to a gray image is the same whatever has become of the image.
        if not starts.equal(inputs):
            moved = inputs + 0.5 * (0.5 - inputs)
            inside = (starts - inputs).abs() > 1e-3  # what came from beyond the edge is unknown
            errors.append(float((starts - moved)[inside].abs().max()))
            assert inside.float().mean() > 0.6
        return inputs + 0.5 * (0.5 - inputs)

    def loss(model: nn.Module, inputs: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        assert points.shape == inputs.shape
        return cross_entropy(model(points), labels)

    makes = lambda: Adversarial(perturb, loss, warm_start=True)  # noqa: E731
    monkeypatch.setitem(OBJECTIVES, "clean", makes)
    train(_recipe(digits, epochs=3, augmentation=augmentation), tmp_path)
    assert len(errors) == 2 * 12
    assert max(errors) < 2e-3  # float16
