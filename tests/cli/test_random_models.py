"""Random models on the command line: refused as they are, and evaluated as an average."""

from pathlib import Path

import pytest

from cli.command_line import Shell

DATA = "mnist-sample[:4]"


def test_a_factory_may_return_the_average_of_a_random_model(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = "models.random_models:noisy_digits(draws=2, threshold=0.6)"
    words = ["evaluate", model, DATA, "--attack", "ddn(steps=2)", "--out", "run"]
    outcome = shell(*words)
    assert outcome.code == 0, outcome.errors
    page = tmp_path / "report.html"
    assert shell("report", "run", "--out", str(page)).code == 0
    text = page.read_text().replace("&nbsp;", " ")
    assert "in at least 60 % of 100 draws that no attack has seen" in text


def test_a_random_model_is_refused_with_the_wrapper_to_use(shell: Shell, tmp_path: Path) -> None:
    words = ["evaluate", "models.random_models:noisy", DATA, "--attack", "ddn(steps=2)"]
    outcome = shell(*words, "--out", str(tmp_path / "run"))
    assert outcome.code == 2
    assert "minnorm.models.averaged(model)" in outcome.message
