"""The commands that list data sets, models and attacks, and the one that fetches data sets."""

from pathlib import Path

import numpy as np
import pytest

from cli.command_line import Shell
from minnorm.attacks import ATTACKS
from minnorm.data import CATALOGUE
from minnorm.data.cache import store
from minnorm.models import zoo_cards


def test_data_list_shows_the_data_sets_and_the_cache_folder(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINNORM_CACHE", str(tmp_path))
    outcome = shell("data", "list")
    assert outcome.code == 0
    assert all(name in outcome.output for name in ("mnist-sample", *CATALOGUE))
    assert str(tmp_path) in "".join(outcome.output.split())
    assert "FILE.npz" in outcome.output


def test_model_list_shows_the_zoo_and_the_forms(shell: Shell) -> None:
    outcome = shell("model", "list")
    assert outcome.code == 0
    assert all(f"zoo:{name}" in outcome.output for name in zoo_cards())
    assert "normal_pursuit(budget=30) within" in " ".join(outcome.output.split())
    assert "FILE.safetensors [+ ARCHITECTURE]" in outcome.output


def test_attack_list_shows_the_attacks_and_their_parameters(shell: Shell) -> None:
    outcome = shell("attack", "list")
    assert outcome.code == 0
    assert all(name in outcome.output for name in ATTACKS)
    assert "steps=100" in " ".join(outcome.output.split())


def test_data_list_shows_what_is_cached(shell: Shell) -> None:
    def cached() -> list[bool]:
        rows = [line.split() for line in shell("data", "list").output.splitlines()]
        return ["yes" in row for name in CATALOGUE for row in rows if row[1:2] == [name]]

    assert cached() == [False, False]
    store("cifar10", "the tests", (), {"test": (np.zeros((1, 2), np.uint8), np.zeros(1, int))})
    assert cached() == [name == "cifar10" for name in CATALOGUE]


@pytest.mark.parametrize("force", [False, True])
def test_data_fetch_fetches_and_prints_the_folder(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, force: bool
) -> None:
    calls: list[tuple[str, bool]] = []

    def fetch(name: str, *, force: bool) -> Path:
        calls.append((name, force))
        return tmp_path

    monkeypatch.setattr("minnorm.data.fetch", fetch)
    outcome = shell("data", "fetch", "mnist", *(["--force"] if force else []))
    assert (outcome.code, outcome.output) == (0, f"mnist: {tmp_path}\n")
    assert calls == [("mnist", force)]
