"""The command that exports adversarials."""

from pathlib import Path

import numpy as np
import pytest

from cli.command_line import Shell
from minnorm.evaluation import evaluate
from minnorm.models import build, save_weights

MODEL, ATTACK = "zoo:mnist-cnn", "ddn(steps=20)"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that kept its adversarials, one that did not, and another network."""
    folder = tmp_path_factory.mktemp("runs")
    for name, kept in (("it", True), ("without", False)):
        evaluate(MODEL, "mnist-sample[:6]", ATTACK, out=folder / name, save_adversarials=kept,
                 device="cpu", batch_size=4, accelerate="off")  # fmt: skip
    save_weights(build("mnist_cnn"), "mnist_cnn", folder / "other.safetensors")
    return folder


def test_images_are_verified_by_the_network_that_the_run_names(
    runs: Path, elsewhere: Path, shell: Shell
) -> None:
    words = ("export", str(runs / "it"), "--format", "png", "--device", "cpu")
    outcome = shell(*words)
    assert outcome.code == 0, outcome.errors
    first, second, *_ = outcome.output.splitlines()
    assert first == f"it-adversarials: 6 PNG files of {ATTACK}, and index.csv with all 6 records"
    assert second.startswith("verified: all 6 files are adversarial when the model reads them")
    assert len(list((elsewhere / "it-adversarials").iterdir())) == 7
    again = shell(*words)
    assert (again.code, again.output) == (2, "")
    assert "it-adversarials exists already" in again.message
    assert shell(*words, "--force").code == 0


@pytest.mark.usefixtures("elsewhere")
def test_the_ending_of_the_file_names_the_format(runs: Path, shell: Shell, tmp_path: Path) -> None:
    outcome = shell("export", str(runs / "it"), "--attack", ATTACK, "--out", "a.npz")
    assert outcome.code == 0, outcome.errors
    assert outcome.output.startswith(f"a.npz: 6 records of {ATTACK}, 6 with an adversarial")
    assert np.load(tmp_path / "a.npz")["adversarials"].shape == (6, 1, 28, 28)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("it",), "name a format: --format png|npz|safetensors"),
        (("it", "--format", "gif"), "unknown format 'gif'"),
        (("it", "--format", "npz", "--attack", "ddm"), "unknown attack 'ddm' in these records"),
        (("it", "--format", "npz", "--target", "3"), "are untargeted, so leave the target out"),
        (("it", "--out", "gone/a.npz"), "the folder gone does not exist"),
        (("it", "--format", "png", "--model", "zoo:mnist-cn"), "Did you mean 'mnist-cnn'?"),
        (("it", "--format", "png", "--model", "zoo:mnist-cnn-ddn"), "is not the one that the run"),
        (("it", "--format", "png", "--model", "{runs}/other.safetensors"), "is not the one that"),
        (("without", "--format", "npz"), "has kept no adversarials"),
        (("without", "--format", "png"), "has kept no adversarials"),
        (("gone", "--format", "png"), "is not a run directory"),
    ],
)
def test_an_export_that_cannot_succeed_is_one_message_and_leaves_nothing(
    words: tuple[str, ...], says: str, runs: Path, shell: Shell, tmp_path: Path
) -> None:
    outcome = shell("export", str(runs / words[0]), *(one.format(runs=runs) for one in words[1:]))
    assert (outcome.code, outcome.output) == (2, "")
    assert says in outcome.message
    assert "Traceback" not in outcome.errors
    assert not list(tmp_path.iterdir())
