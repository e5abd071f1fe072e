"""The results of experiments in the repository, and the archives of their runs."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from minnorm.errors import InputError
from minnorm.paper import Experiment, Options, Outcome, load_experiment, read_scale
from minnorm.paper.kinds import load_kind
from minnorm.paper.measuring import measure
from minnorm.paper.pages import to_json
from paper.measured_by_hand import interrupted_after
from scripts import script

archive = script("experiments/archive.py")
ARCHIVES = sorted(archive.RESULTS.glob(f"*/*/{archive.ARCHIVE}"))


def numbers(text: str) -> dict[str, Any]:
    """Return numbers in nine digits, since processors add in different orders."""
    content: dict[str, Any] = json.loads(text, parse_float=lambda number: f"{float(number):.9g}")
    return content


def outcome(experiment: Experiment, options: Options) -> Outcome:
    return load_kind(experiment.kind)(experiment, options)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_an_interrupted_experiment_is_continued_elsewhere(tmp_path: Path) -> None:
    experiment = load_experiment("table2", "smoke")
    with pytest.raises(KeyboardInterrupt):
        measure(experiment, Options(tmp_path / "out", on_progress=interrupted_after(3)))
    temporary = (
        tmp_path / "out" / "runs" / "table2" / "mnist" / "records" / ".000000-03.parquet.tmp"
    )
    temporary.touch()  # as if a unit were being written
    folder = archive.add(tmp_path / "out", "table2", "smoke", tmp_path / "results")
    assert folder == tmp_path / "results" / "smoke" / "table2"
    assert names(folder) == ["page.md", "results.json", "runs.tar.xz"]
    so_far = numbers((folder / "results.json").read_text())
    assert len(so_far["rows"]) == 3
    again = archive.add(tmp_path / "out", "table2", "smoke", tmp_path / "again")
    assert (again / archive.ARCHIVE).read_bytes() == (folder / archive.ARCHIVE).read_bytes()

    elsewhere = tmp_path / "elsewhere"
    archive.unpack(elsewhere, "smoke", tmp_path / "results")
    shown = outcome(experiment, Options(elsewhere, so_far=True))
    assert numbers(to_json(shown, ""))["rows"] == so_far["rows"]
    finished: list[int] = []
    options = Options(elsewhere, on_progress=lambda _, done, *__: finished.append(done))
    whole = outcome(experiment, options)
    assert finished[0] == 3
    rows = numbers(to_json(whole, ""))["rows"]
    assert len(rows) == len(experiment.settings[0].attacks)
    assert rows[:2] == so_far["rows"][:2]
    with pytest.raises(InputError, match="exists already"):
        archive.unpack(elsewhere, "smoke", tmp_path / "results")


def test_runs_of_other_experiments_are_on_the_page_and_not_in_the_archive(tmp_path: Path) -> None:
    experiment = load_experiment("table5", "smoke")
    two = experiment.model_copy(update={"settings": experiment.settings[:2]})
    measure(two, Options(tmp_path))
    folder = archive.add(tmp_path, "table5", "smoke", tmp_path / "results")
    settings = {row["setting"] for row in numbers((folder / "results.json").read_text())["rows"]}
    assert settings == {"MNIST baseline", "MNIST Madry"}
    with tarfile.open(folder / archive.ARCHIVE) as packed:
        assert {Path(name).parts[:3] for name in packed.getnames()} == {
            ("runs", "table5", "mnist-madry"),
        }


def test_images_are_not_packed(tmp_path: Path) -> None:
    experiment = load_experiment("figure5", "smoke")
    first = experiment.model_copy(update={"settings": experiment.settings[:1]})
    measure(first, Options(tmp_path))
    folder = archive.add(tmp_path, "figure5", "smoke", tmp_path / "results")
    assert names(folder) == ["figure5.svg", "page.md", "results.json"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("add", "OUT", "tabel1"), "tabel1"),
        (("add", "OUT", "figure1"), "not ours to give"),
        (("add", "OUT", "table1"), "table1 has no results"),
        (("add", "OUT", "table1", "--scale", "large"), "large"),
        (("unpack", "OUT", "--scale", "smoke"), "No experiment at the scale smoke"),
    ],
)
def test_bad_input_is_explained(
    words: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(tmp_path / "out") if word == "OUT" else word for word in words]
    with pytest.raises(SystemExit) as caught:
        archive.main(given)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("packed", ARCHIVES, ids=lambda path: path.parent.name)
def test_the_runs_in_the_repository_give_the_results_beside_them(
    packed: Path, tmp_path: Path
) -> None:
    scale = read_scale(packed.parts[-3])
    archive.unpack(tmp_path, scale)
    experiment = load_experiment(packed.parts[-2], scale)
    found = numbers(to_json(outcome(experiment, Options(tmp_path, so_far=True)), ""))
    expected = numbers((packed.parent / "results.json").read_text())
    for part in ("rows", "claims"):
        assert found[part] == expected[part], part
