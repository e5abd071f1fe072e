"""The results of experiments in the repository, and the archives of their runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from minnorm.paper import Options, load_experiment, reproduce
from minnorm.paper.kinds import load_kind
from minnorm.paper.pages import to_json
from scripts import script

collect = script("experiments/collect.py")
ARCHIVES = sorted(collect.RESULTS.glob(f"*/*/{collect.ARCHIVE}"))


def _numbers(text: str) -> dict[str, Any]:
    """Return numbers in nine digits, since processors add in different orders."""
    content: dict[str, Any] = json.loads(text, parse_float=lambda number: f"{float(number):.9g}")
    return content


def _results(folder: Path) -> dict[str, Any]:
    return _numbers((folder / "results.json").read_text())


def test_collected_runs_can_be_continued_elsewhere(tmp_path: Path) -> None:
    experiment = load_experiment("table2", "smoke")
    out = tmp_path / "out"
    reproduce(experiment, Options(out))
    folder = collect.collect(out, "table2", tmp_path / "results")
    assert folder == tmp_path / "results" / "smoke" / "table2"
    files = sorted(file.name for file in folder.iterdir())
    assert files == ["page.md", "results.json", "runs.tar.xz"]
    again = collect.collect(out, "table2", tmp_path / "again")
    assert (again / "runs.tar.xz").read_bytes() == (folder / "runs.tar.xz").read_bytes()

    collect.unpack(tmp_path / "unpacked", "smoke", tmp_path / "results")
    gradients = []
    options = Options(tmp_path / "unpacked", on_progress=lambda *row: gradients.append(row[-1]))
    outcome = load_kind(experiment.kind)(experiment, options)
    assert gradients
    assert not any(gradients)  # no batch is attacked again
    assert _numbers(to_json(outcome, ""))["rows"] == _results(folder)["rows"]

    for run in (out / "runs" / "table2").iterdir():
        (run / "adversarials" / "000000-00.safetensors").touch()
    folder = collect.collect(out, "table2", tmp_path / "results")
    assert sorted(file.name for file in folder.iterdir()) == files[:2]  # no images are packed


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.parent.name)
def test_the_runs_in_the_repository_give_the_results_beside_them(
    archive: Path, tmp_path: Path
) -> None:
    scale, name = archive.parts[-3:-1]
    collect.unpack(tmp_path, scale)
    experiment = load_experiment(name, scale)  # type: ignore[arg-type]
    outcome = load_kind(experiment.kind)(experiment, Options(tmp_path, so_far=True))
    found, expected = _numbers(to_json(outcome, "")), _results(archive.parent)
    for part in ("rows", "claims", "runs"):
        assert found[part] == expected[part], part
