"""Evaluations on data that cannot be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.bad_evaluation import DATA, TINY, Case, check_refused
from cli.command_line import Shell
from minnorm.data import load_data

CASES = [
    Case("no file", ("there is no file", "gone.npz"), data="{files}/gone.npz"),
    Case("not a zip", ("text.npz cannot be read as npz",), data="{files}/text.npz"),
    Case("cut zip", ("cut.npz cannot be read as npz",), data="{files}/cut.npz"),
    Case("pickled arrays", ("objects.npz cannot be read",), data="{files}/objects.npz"),
    Case(
        "no images",
        ("holds labels, x", "expected arrays named 'images' and 'labels'"),
        data="{files}/nothing-named-images.npz",
    ),
    Case(
        "no labels",
        ("holds images, y", "expected arrays named 'images' and 'labels'"),
        data="{files}/nothing-named-labels.npz",
    ),
    Case("lengths", ("lengths.npz", "[8, 1, 28, 28]", "[5]"), data="{files}/lengths.npz"),
    Case("no samples", ("none.npz has no samples",), data="{files}/none.npz"),
    Case(
        "shape",
        ("failed on inputs of shape [8, 3, 32, 32]", "color.npz"),
        data="{files}/color.npz",
    ),
    Case("label 10", ("label-10.npz", "labels from 0 to 9"), data="{files}/label-10.npz"),
    Case(
        "label below 0",
        ("labels range from -9 to 0", "expected labels from 0 to 9"),
        data="{files}/label-below-0.npz",
    ),
    Case(
        "out of bounds",
        ("scaled.npz, samples 0 to 7", "range from -1 to 1", "outside the bounds", "scale them"),
        data="{files}/scaled.npz",
    ),
    Case(
        "NaN",
        ("nan.npz, samples 0 to 7: inputs hold NaN", "remove those samples"),
        data="{files}/nan.npz",
    ),
    Case(
        "fractions as labels",
        ("labels are float32, for example 7.5; expected whole numbers from 0",),
        data="{files}/fractions.npz",
    ),
    Case("int16 images", ("images are int16; expected uint8",), data="{files}/int16.npz"),
    Case(
        "unknown data",
        ("unknown data set 'mnits'. Did you mean 'mnist'?", "FILE.npz"),
        data="mnits",
    ),
    Case("not fetched", ("mnist is not in the cache", "minnorm data fetch mnist"), data="mnist"),
    Case("empty slice", ("'mnist-sample[5:5]' is empty", "1000"), data="mnist-sample[5:5]"),
    Case("bad slice", ("cannot read the slice '[a:b]'", "[:1000]"), data="mnist-sample[a:b]"),
    Case("no folder", ("there is no folder /no/such",), data="folder:/no/such"),
    Case(
        "one sample of many with a label beyond the classes",
        ("late.npz: labels range from 0 to 10", "expected labels from 0 to 9"),
        data="{files}/late.npz",
    ),
    Case(
        "channels last",
        ("shape [8, 28, 28, 1]", "28 channels instead. Are these images", "transpose(0, 3, 1, 2)"),
        model="zoo:mnist-cnn",
        data="{files}/channels-last.npz",
    ),
    Case(
        "8-bit values and other bounds",
        ("eight-bit.npz holds 8-bit values", "bounds=(-1.0, 1.0)", "expected (0, 1)", "(0, 255)"),
        data="{files}/eight-bit.npz",
        options=("--bounds", "-1", "1"),
    ),
    Case("table", ("table.csv: .csv files cannot be read", "numpy.savez"), data="table.csv"),
    Case("no scheme", ("foreign is a folder: write folder:",), data="{files}/foreign"),
    Case("a model", ("'zoo:mnist-cnn' is a model spec; expected data",), data="zoo:mnist-cnn"),
    Case("not a folder of images", ("one folder per class",), data="folder:{files}/foreign"),
    Case("data that is a module", ("cannot use Cent",), data=f"{TINY}:linear"),
    Case("one bad sample", ("samples 12 to 15: inputs hold NaN",), data=f"{TINY}:one_bad",
         options=("--batch-size", "4")),
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of data files, each but one with one thing wrong."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "foreign").mkdir()
    images, labels = (part.numpy() for part in load_data(DATA).batch(range(8)))
    with_nan = images.copy()
    with_nan[3, 0, 5, 5] = np.nan
    made: dict[str, dict[str, Any]] = {
        "good": {"images": images, "labels": labels},
        "nothing-named-images": {"x": images, "labels": labels},
        "nothing-named-labels": {"images": images, "y": labels},
        "lengths": {"images": images, "labels": labels[:5]},
        "color": {"images": np.zeros((8, 3, 32, 32), np.float32), "labels": labels},
        "label-10": {"images": images, "labels": np.full(8, 10)},
        "label-below-0": {"images": images, "labels": labels - 9},
        "scaled": {"images": images * 2 - 1, "labels": labels},
        "nan": {"images": with_nan, "labels": labels},
        "fractions": {"images": images, "labels": labels.astype(np.float32) + 0.5},
        "int16": {"images": (images * 255).astype(np.int16), "labels": labels},
        "late": {"images": np.tile(images, (2, 1, 1, 1)), "labels": np.eye(16, dtype=int)[15] * 10},
        "channels-last": {"images": images.transpose(0, 2, 3, 1), "labels": labels},
        "eight-bit": {"images": (images * 255).astype(np.uint8), "labels": labels},
        "none": {"images": images[:0], "labels": labels[:0]},
        "objects": {"images": np.array([{}] * 8, dtype=object), "labels": labels},
    }
    for name, arrays in made.items():
        np.savez(folder / f"{name}.npz", **arrays)
    (folder / "text.npz").write_text("images and labels")
    (folder / "cut.npz").write_bytes((folder / "good.npz").read_bytes()[:-1000])
    return folder


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_data_is_refused(case: Case, shell: Shell, files: Path, tmp_path: Path) -> None:
    check_refused(shell, case.words(files, tmp_path), case.says)


def test_good_data_is_accepted(shell: Shell, files: Path, tmp_path: Path) -> None:
    # The good evaluation: each bad one differs from it in one thing.
    for number, data in enumerate((DATA, "{files}/good.npz")):
        case = Case("good", (), data=data, out=f"{{new}}/{number}")
        outcome = shell(*case.words(files, tmp_path))
        assert (outcome.code, outcome.message) == (0, "")
