"""Files of figures: formats, fonts, and the same bytes each time."""

import io
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from PIL import Image

from minnorm.errors import InputError, MissingLibraryError
from minnorm.report import plot_curves
from minnorm.report.figures.files import FORMATS, save_figure
from report.made_runs import attack_run

RUN = attack_run({"ddn": [0.0, 1.0, 2.0], "fmn": [0.0, 2.0, 1.0]})


def draw(ax: Axes | None) -> Axes:
    return plot_curves(RUN, ax=ax)


@pytest.mark.parametrize("ending", FORMATS)
def test_the_same_run_gives_the_same_bytes(ending: str, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    files = [tmp_path / f"{number}.{ending}" for number in range(2)]
    for file in files:
        save_figure(draw, file)
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert b"Date" not in first
    assert b"dc:date" not in first
    assert first.startswith({"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}[ending])
    assert dict(mpl.rcParams) == before


def test_a_pdf_holds_its_fonts_as_truetype(tmp_path: Path) -> None:
    save_figure(draw, tmp_path / "f.pdf")
    content = (tmp_path / "f.pdf").read_bytes()
    assert b"/CIDFontType2" in content
    assert b"/FontFile2" in content
    assert b"/Type3" not in content


def test_the_size_is_that_of_the_figure(tmp_path: Path) -> None:
    save_figure(draw, tmp_path / "f.png", (3.0, 2.0))
    with Image.open(io.BytesIO((tmp_path / "f.png").read_bytes())) as image:
        assert image.size == (900, 600)


def test_an_older_file_is_replaced_and_folders_are_made(tmp_path: Path) -> None:
    file = tmp_path / "new" / "f.SVG"
    save_figure(draw, file)
    file.write_text("old")
    save_figure(draw, file)
    assert file.read_text().startswith("<?xml")
    assert [path.name for path in file.parent.iterdir()] == ["f.SVG"]


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("f.docx", None, "expected a file that ends in .pdf, .svg or .png, for example f.pdf"),
        ("f", None, "expected a file that ends in"),
        ("f.pdf", (0.0, 1.0), "the size 0 x 1: expected a width and a height in inches"),
        ("f.pdf", (1.0, float("nan")), "the size 1 x nan"),
        ("f.pdf", (1.0, 100.0), "at most 50"),
    ],
)
def test_a_file_that_cannot_be_made_is_refused(
    name: str, size: tuple[float, float] | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        save_figure(draw, tmp_path / name, size)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "f.pdf").mkdir()
    with pytest.raises(InputError, match="is a folder: name a file for the figure"):
        save_figure(draw, tmp_path / "f.pdf")


@pytest.mark.parametrize("library", ["matplotlib", "matplotlib.figure"])
def test_without_matplotlib_the_extra_is_named(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[report\]'"):
        save_figure(draw, tmp_path / "f.pdf")
