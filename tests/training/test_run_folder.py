"""The folder of a run: who may use it, and what it may hold."""

import json
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from minnorm.errors import InputError, RunConflictError
from minnorm.training import Recipe, load_recipe, train
from minnorm.training.run_folder import RunFolder, card_file, last_weights_file, weights_file
from training.small_runs import files_in, recipe_of

RESULTS = ["tiny.safetensors", "tiny-last.safetensors", "tiny.json", "log.jsonl"]


def a_recipe(**changes: Any) -> Recipe:
    return recipe_of(Path("digits.npz"), **changes)


def claim(folder: Path, *, resume: bool = False, **changes: Any) -> None:
    with RunFolder(folder) as run:
        run.claim(a_recipe(**changes), resume=resume)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Return the folder of a run with a checkpoint."""
    claim(tmp_path)
    (tmp_path / "last.ckpt").write_text("checkpoint")
    return tmp_path


def files_without_lock(folder: Path) -> dict[Path, bytes]:
    return {file: text for file, text in files_in(folder).items() if file.name != ".lock"}


def test_the_results_are_named_by_the_recipe() -> None:
    files = [find(Path("run"), a_recipe()) for find in (weights_file, last_weights_file, card_file)]
    assert [file.as_posix() for file in files] == [f"run/{name}" for name in RESULTS[:3]]


def test_a_claimed_folder_holds_the_recipe_and_is_locked(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "run"
    with RunFolder(folder) as run:
        assert not folder.exists()
        run.claim(a_recipe(), resume=False)
        assert load_recipe(folder / "recipe.json", trust=True) == a_recipe()
        with pytest.raises(Timeout):
            FileLock(folder / ".lock", timeout=0).acquire()
    with FileLock(folder / ".lock", timeout=0):
        pass


def test_the_folder_is_unlocked_after_an_error(begun: Path) -> None:
    run = RunFolder(begun)
    run.lock()
    with pytest.raises(RunConflictError), run:
        run.claim(a_recipe(), resume=False)  # it locks the folder again, and refuses it
    with FileLock(begun / ".lock", timeout=0):
        pass


def test_a_folder_in_which_another_process_works_is_refused(begun: Path) -> None:
    with (
        FileLock(begun / ".lock"),
        pytest.raises(RunConflictError, match="another process is working in"),
    ):
        claim(begun, resume=True)
    claim(begun, resume=True)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError,
        match=r"file is a file; expected the folder of the run: name another folder with --out in",
    ):
        claim(tmp_path / "file")


@pytest.mark.parametrize("resume", [False, True])
def test_a_damaged_recipe_is_named(tmp_path: Path, *, resume: bool) -> None:
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(RunConflictError, match=r"recipe.json is damaged, or was written by anoth"):
        claim(tmp_path, resume=resume)


@pytest.mark.parametrize("name", RESULTS)
def test_files_that_are_not_of_a_run_are_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunConflictError, match=f"holds {name}, but no recipe.json"):
        claim(tmp_path, resume=True)
    assert files_in(tmp_path) == {tmp_path / name: b"mine"}


@pytest.mark.parametrize("name", ["last.ckpt", "before.ckpt"])
def test_checkpoints_without_their_recipe_are_refused(tmp_path: Path, name: str) -> None:
    for file in (name, "tiny.json"):
        (tmp_path / file).write_text("mine")
    before = files_in(tmp_path)
    for resume in (False, True):
        with pytest.raises(RunConflictError, match=r"checkpoints of a run whose recipe.json is mi"):
            claim(tmp_path, resume=resume)
    assert files_without_lock(tmp_path) == before


@pytest.mark.parametrize("name", [*RESULTS, "last.ckpt"])
def test_a_run_continues_only_with_resume(tmp_path: Path, name: str) -> None:
    claim(tmp_path)
    (tmp_path / name).write_text("mine")
    before = files_in(tmp_path)
    with pytest.raises(RunConflictError, match="holds a run of this recipe: continue it with --re"):
        claim(tmp_path)
    claim(tmp_path, resume=True)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epochs": 4}, {"name": "other"}])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_another_recipe_is_refused_and_left_alone(
    begun: Path, changes: dict[str, Any], *, resume: bool
) -> None:
    before = files_in(begun)
    (name,) = changes
    expected = (
        f"run of another recipe:\n  {name}: .* there, .* now\nTo keep it, name another folder"
    )
    with pytest.raises(RunConflictError, match=expected):
        claim(begun, resume=resume, **changes)
    assert files_in(begun) == before


def test_a_recipe_written_before_a_setting_existed_is_the_same_recipe(begun: Path) -> None:
    content = json.loads((begun / "recipe.json").read_text())
    del content["augmentation"]
    (begun / "recipe.json").write_text(json.dumps(content))
    claim(begun, resume=True)


def test_a_run_that_ended_before_its_first_epoch_leaves_the_folder_free(tmp_path: Path) -> None:
    claim(tmp_path)
    claim(tmp_path, seed=1)
    assert load_recipe(tmp_path / "recipe.json", trust=True).seed == 1


def test_partial_files_of_a_killed_run_are_removed(begun: Path) -> None:
    partial = begun / ".last.ckpt.new.123.tmp"
    partial.write_text("half")
    claim(begun, resume=True)
    assert not partial.exists()
    assert (begun / "last.ckpt").read_text() == "checkpoint"


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "intruder:run(cmd='id')"},
        {"objective": {"1": "clean", "2": "intruder:run"}},
        {"architecture": "intruder:run"},
        {"robust_validation": {"epsilon": 1.0, "attack": "intruder:run"}},
        {"augmentation": ["intruder:run"]},
        {"data": "intruder:run"},
        {"initial": "intruder:run"},
    ],
    ids=str,
)
def test_nothing_that_the_recipe_of_a_folder_names_is_run(
    begun: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], *, resume: bool
) -> None:
    (begun / "intruder.py").write_text("open('touched', 'w').close()\n")
    monkeypatch.chdir(begun)
    monkeypatch.syspath_prepend(begun)
    content = json.loads((begun / "recipe.json").read_text())
    (begun / "recipe.json").write_text(json.dumps({**content, **changes}))
    with pytest.raises(RunConflictError, match="run of another recipe") as caught:
        claim(begun, resume=resume)
    assert "intruder:run" in str(caught.value)
    with pytest.raises(RunConflictError, match="run of another recipe"):
        train(a_recipe(), begun, resume=resume)
    assert not (begun / "touched").exists()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ' + 10_000 * "[",
        '{"a": ' + 300_000 * "1" + "}",
        "[1, 2]",
        "\0",
        "{" + '"a": 1,' * 9999,
    ],
    ids=["deep", "large", "list", "zero", "keys"],
)
def test_a_recipe_that_is_too_large_or_of_another_form_is_refused(begun: Path, text: str) -> None:
    (begun / "recipe.json").write_text(text)
    with pytest.raises(RunConflictError, match=r"recipe.json is damaged, or was written by anoth"):
        claim(begun, resume=True)


def test_a_check_writes_nothing(begun: Path, tmp_path: Path) -> None:
    before = files_in(begun)
    RunFolder(begun).check(a_recipe(), resume=True)
    RunFolder(tmp_path / "new").check(a_recipe(), resume=False)
    assert files_in(begun) == before
    assert not (tmp_path / "new").exists()


def test_the_message_about_resuming_has_the_words_of_the_shell_and_of_python(begun: Path) -> None:
    with pytest.raises(RunConflictError, match="--resume in the shell, resume=True in Python") as e:
        claim(begun)
    assert "another folder with --out in the shell, out= in Python" in str(e.value)
