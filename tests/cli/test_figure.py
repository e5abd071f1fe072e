"""The commands that draw figures."""

from pathlib import Path

import pytest

from cli.command_line import Shell
from minnorm import evaluate


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a run of two attacks that minimize different norms."""
    out = tmp_path_factory.mktemp("figure") / "run"
    attacks = ["deepfool", "deepfool(norm=linf)"]
    evaluate("zoo:mnist-cnn", "mnist-sample[:4]", attacks, out=out, batch_size=4)
    return str(out)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "words",
    [
        ("curves", "--norm", "linf", "--epsilon", "8/255,0.1", "--out", "f.pdf"),
        ("distances", "--attack", "deepfool", "--size", "3.3,2", "--out", "f.svg"),
        ("gallery", "--attack", "deepfool", "--count", "2", "--out", "new/f.png"),
    ],
)
def test_a_figure_is_drawn_and_its_file_named(
    words: tuple[str, ...], run: str, shell: Shell
) -> None:
    kind, *options = words
    outcome = shell("figure", kind, run, *options)
    assert outcome.code == 0, outcome.errors
    assert outcome.output == f"figure: {words[-1]}\n"
    assert Path(words[-1]).stat().st_size > 1000


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("kind", ["curves", "distances"])
def test_runs_have_the_labels_that_are_given(kind: str, run: str, shell: Shell) -> None:
    words = ["--label", "plain", "--label", "defended", "--norm", "l2", "--out", "f.svg"]
    outcome = shell("figure", kind, run, run, *words)
    assert outcome.code == 0, outcome.errors
    text = Path("f.svg").read_text()
    assert "plain" in text
    assert "defended" in text


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("curves", "--out", "f.pdf"), "the attacks minimize l2 and linf"),
        (("curves", "--out", "f.docx"), "expected a file that ends in .pdf, .svg or .png"),
        (("curves", "--norm", "l3", "--out", "f.pdf"), "l3"),
        (("distances", "--attack", "depfool", "--out", "f.pdf"), "Did you mean 'deepfool'"),
        (("distances", "--size", "3", "--out", "f.pdf"), "--size 3: expected a width and a height"),
        (("distances", "--size", "3,x", "--out", "f.pdf"), "--size 3,x: expected a width"),
        (("gallery", "--count", "0", "--out", "f.pdf"), "--count"),
    ],
)
def test_bad_input_is_refused(
    words: tuple[str, ...], message: str, run: str, shell: Shell, elsewhere: Path
) -> None:
    kind, *options = words
    outcome = shell("figure", kind, run, *options)
    assert (outcome.code, outcome.output) == (2, "")
    assert message in outcome.message
    assert list(elsewhere.iterdir()) == []


@pytest.mark.usefixtures("elsewhere")
def test_a_folder_that_is_no_run_is_refused(shell: Shell) -> None:
    outcome = shell("figure", "curves", "nowhere", "--out", "f.pdf")
    assert outcome.code == 2
    assert "nowhere is not a run directory" in outcome.message
