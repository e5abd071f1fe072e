"""Commands that cannot be carried out: unknown ones, missing words, and bad recipes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.bad_evaluation import MODEL, TINY, Case, check_refused
from cli.command_line import Shell

TESTS = Path(__file__).parent.parent


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder of recipes, each with one thing wrong."""
    (tmp_path / "wrong.yaml").write_text("name: tiny\nepochs: 0\nepoch: 3\n")
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    (tmp_path / "broken.yaml").write_text("name: [\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "{files}/gone.yaml"], ("there is no recipe", "gone.yaml")),
        (["train", "mnist-cn"], ("unknown recipe 'mnist-cn'. Did you mean 'mnist-cnn'?",)),
        (
            ["train", "{files}/wrong.yaml"],
            ("wrong.yaml is not a valid recipe", "unknown setting 'epoch'. Did you mean 'epochs'?"),
        ),
        (["train", "{files}/list.yaml"], ("list.yaml is not a recipe: expected keys",)),
        (["train", "{files}/broken.yaml"], ("broken.yaml cannot be read as YAML",)),
        (["train", "mnist-cnn", "--set", "epochs"], ("setting 'epochs': write key=value",)),
        (["train", "mnist-cnn", "--set", "epochs=many"], ("epochs: Input should be",)),
        (["train", "mnist-cnn", "--set", "epochs.x=1"], ("'epochs' is a value",)),
        (
            ["train", "mnist-cnn", "--set", "epochs=["],
            ("the setting 'epochs=[' cannot be read as YAML",),
        ),
        (["train"], ("Missing argument 'RECIPE'",)),
        (["data", "fetch", "mnits"], ("'mnits'. Did you mean 'mnist'?",)),
        (["evaluate"], ("Missing argument 'MODEL'",)),
        (["evaluate", MODEL], ("Missing argument 'DATA'",)),
        (["evalaute"], ("No such command 'evalaute'",)),
        (["demo", "--device", "banana"], ("cannot use the device 'banana'",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("elsewhere")
def test_a_bad_command_is_refused(
    words: list[str], says: tuple[str, ...], shell: Shell, files: Path
) -> None:
    check_refused(shell, [word.replace("{files}", str(files)) for word in words], says)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        Case("NaN", ("samples 12 to 15: inputs hold NaN",), data=f"{TINY}:one_bad",
             options=("--batch-size", "4")),
        Case("steps=0", ("steps=0: expected a whole number",), attack="ddn(steps=0)"),
    ],
    ids=lambda case: case.name,
)  # fmt: skip
def test_a_new_process_prints_the_same_message(case: Case, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "minnorm", *case.words(tmp_path, tmp_path)],
        cwd=TESTS, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(re.findall(r"\berror: ", done.stderr, re.IGNORECASE)) == 1
    said = " ".join(done.stderr.split()).lower()  # versions of typer differ in the case of names
    for text in case.says:
        assert text.lower() in said
