"""Exports: arrays that other programs read, and images that are adversarial as they are stored."""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from evaluation.small_runs import ATTACKS, MODEL, run
from evaluation.tiny_models import Centered
from minnorm.attacks import AttackResult, Model
from minnorm.data import load_data
from minnorm.errors import InputError
from minnorm.evaluation import Evaluation, closest_records, load_run
from minnorm.evaluation.exports.exports import export_adversarials, path_for

ONE, OTHER = ATTACKS

NEAR_BOUNDARIES = "evaluation.tiny_models:linear(seed=0)"
"""A model that takes some rounded adversarials for their true class."""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """A run whose adversarials are not all adversarial when they are rounded to 8 bits."""
    out = tmp_path_factory.mktemp("runs") / "many"
    images, _ = load_data("mnist-sample").batch(range(40))
    with torch.no_grad():
        labels = Centered(seed=0).eval()(images).argmax(1)
    return run(
        out, model=NEAR_BOUNDARIES, data=(images, labels), attacks="ddn(steps=30)", batch_size=25
    )


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "index.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def classes_of(folder: Path, names: list[str]) -> list[int]:
    """Return the classes of PNG files, read as a user reads them."""
    pixels = np.stack([np.array(Image.open(folder / name)) for name in names])
    inputs = torch.from_numpy(pixels.astype(np.float32) / 255).unsqueeze(1)
    with torch.no_grad():
        found: list[int] = Centered(seed=0).eval()(inputs).argmax(1).tolist()
    return found


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_arrays_are_those_of_the_records(finished: Path, tmp_path: Path, ending: str) -> None:
    loaded = load_run(finished)
    path, chosen = path_for(finished, tmp_path / f"out.{ending}", None)
    exported = export_adversarials(loaded, path, chosen)
    arrays: dict[str, Any] = dict(np.load(path)) if ending == "npz" else load_file(path)
    if ending == "npz":
        assert arrays.pop("norm") == "l2"
    records = closest_records(loaded.records)
    columns = {"index": "index", "labels": "label", "predictions": "adversarial_prediction",
               "clean_predictions": "clean_prediction", "success": "success",
               "distances": "l2"}  # fmt: skip
    assert set(arrays) == {*columns, "targets", "inputs", "adversarials"}
    for name, column in columns.items():
        assert arrays[name].tolist() == records.column(column).to_pylist()
    assert set(arrays["targets"].tolist()) == {-1}
    images, _ = load_data("mnist-sample").batch(records.column("index").to_pylist())
    assert torch.as_tensor(arrays["inputs"]).equal(images)
    with torch.no_grad():
        found = Centered().eval()(torch.as_tensor(arrays["adversarials"])).argmax(1)
    success = torch.as_tensor(arrays["success"])
    assert found[success].tolist() == torch.as_tensor(arrays["predictions"])[success].tolist()
    assert exported.summary() == [
        f"{path}: 12 records of the closest of all attacks, {int(success.sum())} with an "
        "adversarial, distances in l2"
    ]


def test_files_are_adversarial_as_they_are_stored(many: Evaluation, tmp_path: Path) -> None:
    folder = tmp_path / "pngs"
    exported = export_adversarials(many, folder, "png", model=NEAR_BOUNDARIES)
    lines = table(folder)
    assert [int(line["index"]) for line in lines] == list(range(40))
    kept = [line for line in lines if line["file"]]
    assert sorted(line["file"] for line in kept) == sorted(
        path.name for path in folder.glob("*.png")
    )
    found = classes_of(folder, [line["file"] for line in kept])
    assert found == [int(line["prediction"]) for line in kept]
    assert all(int(line["label"]) != one for line, one in zip(kept, found, strict=True))
    statuses = [line["status"] for line in lines]
    assert {"verified", "moved"} <= set(statuses) <= {"verified", "moved", "lost"}
    for line in kept:
        images, _ = load_data("mnist-sample").batch([int(line["index"])])
        pixels = np.array(Image.open(folder / line["file"])).astype(np.float64) / 255
        change = (pixels - images[0, 0].double().numpy()).ravel()
        assert math.isclose(float(line["l2"]), np.linalg.norm(change), rel_tol=1e-6, abs_tol=1e-6)
        assert math.isclose(float(line["linf"]), np.abs(change).max(), rel_tol=1e-6, abs_tol=1e-6)
        assert line["file"].startswith(f"{int(line['index']):06d}_{line['label']}_")
    assert f"{statuses.count('moved')} of them rounded away" in exported.summary()[1]


def test_without_the_model_nothing_is_verified_and_that_is_said(
    many: Evaluation, tmp_path: Path
) -> None:
    folder = tmp_path / "pngs"
    exported = export_adversarials(many, folder, "png")  # the run names code
    assert (
        f"NOT verified: the model of the run, {NEAR_BOUNDARIES!r}, may run code"
        in exported.summary()[1]
    )
    lines = table(folder)
    assert {line["status"] for line in lines} == {"unverified"}
    # Some are none, which is why a model is needed.
    found = classes_of(folder, [line["file"] for line in lines])
    assert any(int(line["label"]) == one for line, one in zip(lines, found, strict=True))


def off_the_grid(inputs: Tensor) -> Tensor:
    """Take for class 1 what is far from the grid of 8 bits."""
    distances = (255 * inputs - (255 * inputs).round()).abs().flatten(1).mean(1)
    return torch.stack([torch.full_like(distances, 0.2), distances], dim=1)


def shift(model: Model, inputs: Tensor, labels: Tensor, /, **_: object) -> AttackResult:
    """Move all pixels off the grid."""
    points = inputs + 0.4 / 255
    success = model(points).argmax(1) != labels
    return AttackResult(points, torch.full((len(inputs),), 0.1), success)


def test_what_is_no_adversarial_with_8_bits_is_left_out_and_listed(tmp_path: Path) -> None:
    data = (torch.full((3, 1, 4, 4), 10 / 255), [0, 1, 0])
    found = run(tmp_path / "run", model=off_the_grid, data=data, attacks={"shift": shift})
    exported = export_adversarials(found, tmp_path / "pngs", "png", model=off_the_grid)
    lines = table(tmp_path / "pngs")
    # The second image is misclassified from the start, as it is.
    assert [line["status"] for line in lines] == ["lost", "verified", "lost"]
    assert [path.name for path in tmp_path.glob("pngs/*.png")] == [lines[1]["file"]]
    assert exported.summary() == [
        f"{tmp_path / 'pngs'}: 1 PNG files of shift, and index.csv with all 3 records",
        "verified: all 1 files are adversarial when the model reads them",
        "unchanged inputs, misclassified as they are: 1",
        "left out, no adversarial with 8 bits: 2 (index 0, 2)",
    ]


def test_failures_have_a_line_and_no_file(tmp_path: Path) -> None:
    found = run(tmp_path / "run", attacks="fgsm(epsilon=0.001)", targets="random:2")
    failed = found.records.column("success").to_pylist().count(False)
    assert failed > 0
    exported = export_adversarials(found, tmp_path / "pngs", "png", model=MODEL)
    lines = table(tmp_path / "pngs")
    assert len(lines) == 24
    assert [line["file"] for line in lines if line["status"] == "none"] == [""] * failed
    assert f"left out, no adversarial was found: {failed}" in exported.summary()
    for line in lines:
        assert not line["file"] or f"_to-{line['target']}_" in line["file"]


def test_one_target_can_be_chosen(tmp_path: Path) -> None:
    found = run(
        tmp_path / "run",
        model=NEAR_BOUNDARIES,
        data="mnist-sample[:4]",
        attacks=ONE,
        targets="all",
    )
    export_adversarials(found, tmp_path / "pngs", "png", target="3", model=NEAR_BOUNDARIES)
    lines = table(tmp_path / "pngs")
    assert {line["target"] for line in lines} == {"3"}
    kept = [line["file"] for line in lines if line["file"]]
    assert set(classes_of(tmp_path / "pngs", kept)) == {3}


def test_an_earlier_export_is_replaced_only_if_asked_for_and_nothing_else_ever(
    finished: Path, tmp_path: Path
) -> None:
    loaded, folder = load_run(finished), tmp_path / "pngs"
    export_adversarials(loaded, folder, "png", attack=ONE)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(InputError, match="exists already: name another folder with --out"):
        export_adversarials(loaded, folder, "png", attack=ONE)
    export_adversarials(loaded, folder, "png", attack=ONE, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == before
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="is no folder of exported adversarials, so it is not"):
        export_adversarials(loaded, folder, "png", overwrite=True)
    assert (folder / "thesis.tex").exists()
    with pytest.raises(InputError, match=r"holds other files than PNG files"):
        export_adversarials(loaded, finished, "png", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pngs"]
    (folder / "thesis.tex").unlink()
    (folder / "index.csv").write_text("file,label\nmine.png,0\n")  # of the user's own images
    with pytest.raises(InputError, match="is no folder of exported adversarials"):
        export_adversarials(loaded, folder, "png", overwrite=True)


def test_nothing_is_left_behind_by_an_export_that_fails(tmp_path: Path) -> None:
    inputs, labels = torch.rand(4, 6), [0, 1, 0, 1]
    model = Centered(6, 2).eval()
    found = run(tmp_path / "run", model=model, data=(inputs, labels), attacks=ONE)
    with pytest.raises(InputError, match=r"have the shape \[6\]; PNG files hold images"):
        export_adversarials(found, tmp_path / "pngs", "png", model=model)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


CASES: dict[str, tuple[Callable[[Evaluation, Path], Any], str]] = {
    "another model": (
        lambda it, out: export_adversarials(it, out / "a", "png", model="zoo:mnist-cnn"),
        "is not the one that the run attacked",
    ),
    "no folder": (
        lambda it, out: export_adversarials(it, out / "a" / "b", "png"),
        "the folder .* does not exist",
    ),
    "no folder for a file": (
        lambda it, out: export_adversarials(it, out / "a" / "b.npz", "npz"),
        "the folder .* does not exist",
    ),
    "untargeted": (
        lambda it, out: export_adversarials(it, out / "a.npz", "npz", target=3),
        "these attacks are untargeted",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_before_anything_is_written(
    finished: Path, tmp_path: Path, name: str
) -> None:
    call, message = CASES[name]
    with pytest.raises(InputError, match=message):
        call(load_run(finished), tmp_path)
    assert not list(tmp_path.iterdir())


def test_attacks_of_several_norms_need_a_choice(tmp_path: Path) -> None:
    found = run(tmp_path / "run", attacks=["ddn(steps=3)", "fmn(norm=linf, steps=3)"])
    with pytest.raises(InputError, match="minimize l2 and linf: name an attack, for example --at"):
        export_adversarials(found, tmp_path / "a.npz", "npz")
    exported = export_adversarials(found, tmp_path / "a.npz", "npz", attack="worst case in linf")
    assert np.load(tmp_path / "a.npz")["norm"] == exported.norm == "linf"


@pytest.mark.parametrize(
    ("out", "file_format", "expected"),
    [
        (None, "png", ("it-adversarials", "png")),
        (None, "NPZ", ("it-adversarials.npz", "npz")),
        ("a.safetensors", None, ("a.safetensors", "safetensors")),
        ("a.b", "png", ("a.b", "png")),
    ],
)
def test_the_path_has_a_default_and_names_the_format(
    out: str | None, file_format: str | None, expected: tuple[str, str]
) -> None:
    found = path_for(Path("runs/it"), None if out is None else Path(out), file_format)
    assert found == (Path(expected[0]), expected[1])


@pytest.mark.parametrize(
    ("out", "file_format", "message"),
    [
        (None, None, r"name a format: --format png\|npz\|safetensors"),
        ("folder", None, "name a format"),
        (None, "jpg", r"unknown format 'jpg'\. Did you mean 'png'\?"),
        ("a.npz", "safetensors", "expected the ending .safetensors of --format safetensors"),
    ],
)
def test_an_unclear_format_is_refused(
    out: str | None, file_format: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        path_for(Path("it"), None if out is None else Path(out), file_format)
