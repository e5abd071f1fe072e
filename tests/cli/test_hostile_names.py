"""Names of files, folders and attacks that would control a terminal are shown as they are."""

from pathlib import Path

import pytest
from PIL import Image

from cli.bad_evaluation import DATA, MODEL
from cli.command_line import Shell

HOSTILE = "[/x]a\x1b[31mb\rc\x07d\u202ee\nerror: f"
SHOWN = r"[/x]a\x1b[31mb\rc\x07d\u202ee\nerror: f"


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "words",
    [
        [HOSTILE],
        [f"--{HOSTILE}"],
        ["evaluate", f"{HOSTILE}.pt", DATA, "--out", "run"],
        ["evaluate", HOSTILE, DATA, "--out", "run"],
        ["evaluate", f"zoo:{HOSTILE}", DATA, "--out", "run"],
        ["evaluate", MODEL, HOSTILE, "--out", "run"],
        ["evaluate", MODEL, f"{HOSTILE}.npz", "--out", "run"],
        ["evaluate", MODEL, f"folder:{HOSTILE}", "--out", "run"],
        ["evaluate", MODEL, DATA, "--out", "run", "--attack", HOSTILE],
        ["evaluate", MODEL, DATA, "--out", "run", "--attack", f"ddn({HOSTILE}=3)"],
        ["evaluate", MODEL, DATA, "--out", "run", "--device", HOSTILE],
        ["evaluate", MODEL, DATA, "--out", "run", "--norm", HOSTILE],
        ["evaluate", MODEL, DATA, "--out", "run", "--targets", HOSTILE],
        ["evaluate", MODEL, DATA, "--out", "run", "--epsilon", HOSTILE],
        ["evaluate", MODEL, DATA, "--out", "run", "--batch-size", HOSTILE],
        ["evaluate", MODEL, DATA, "--out", "run", "--accelerate", HOSTILE],
        ["evaluate", MODEL, DATA, "--out", "run", "--seed", HOSTILE],
        ["evaluate", MODEL, DATA, "--out", "run", "--bounds", HOSTILE],
        ["train", HOSTILE],
        ["train", f"{HOSTILE}.yaml"],
        ["train", "mnist-cnn", "--set", HOSTILE],
        ["train", "mnist-cnn", "--set", f"{HOSTILE}=1"],
        ["data", "fetch", HOSTILE],
        ["data", "show", HOSTILE],
    ],
    ids=lambda words: " ".join(words).replace(HOSTILE, "X"),
)
def test_a_hostile_word_is_shown_escaped(words: list[str], shell: Shell) -> None:
    outcome = shell(*words)
    assert outcome.code == 2
    assert "Traceback" not in outcome.errors
    _check_harmless(outcome.output + outcome.errors)
    assert len([line for line in outcome.errors.splitlines() if line.startswith("error: ")]) == 1


@pytest.mark.usefixtures("elsewhere")
def test_a_hostile_folder_is_used_and_shown_escaped(shell: Shell) -> None:
    name = HOSTILE.replace("/", "")
    Path(name).mkdir()
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=2)", "--out", f"{name}/run"]
    outcome = shell(*words)
    assert outcome.code == 0
    _check_harmless(outcome.output + outcome.errors)
    assert outcome.output.endswith(f"records: {SHOWN.replace('/', '')}/run\n")


@pytest.mark.usefixtures("elsewhere")
def test_a_hostile_class_is_shown_escaped(shell: Shell) -> None:
    folder = Path("photos", HOSTILE.replace("/", ""))
    folder.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    outcome = shell("data", "show", "folder:photos")
    assert outcome.code == 0
    assert SHOWN.replace("/", "") in outcome.output
    _check_harmless(outcome.output + outcome.errors)


def _check_harmless(text: str) -> None:
    for letter in text:
        assert letter == "\n" or letter.isprintable(), repr(text)
