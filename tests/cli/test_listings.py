"""The commands that list data sets, models and attacks, and the one that fetches data sets."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.command_line import Shell
from minnorm.attacks import ATTACKS, ENTRIES
from minnorm.data import CATALOGUE
from minnorm.data.cache import store
from minnorm.models import zoo, zoo_cards


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
    rows = [line.replace("│", " ").split() for line in outcome.output.splitlines()]
    needs = {row[0]: row[1] for row in rows if row and row[0] in ENTRIES}
    assert needs == {name: entry.access for name, entry in ENTRIES.items()}
    assert "steps=100" in " ".join(outcome.output.split())


def test_data_list_shows_what_is_cached(shell: Shell) -> None:
    def cached() -> list[bool]:
        rows = [line.split() for line in shell("data", "list").output.splitlines()]
        return ["yes" in row for name in CATALOGUE for row in rows if row[1:2] == [name]]

    assert cached() == [False, False]
    store("cifar10", "the tests", (), {"test": (np.zeros((1, 2), np.uint8), np.zeros(1, int))})
    assert cached() == [name == "cifar10" for name in CATALOGUE]


def test_data_show_shows_samples_values_and_labels(shell: Shell) -> None:
    outcome = shell("data", "show", "mnist-sample[:50]")
    assert outcome.code == 0
    lines = outcome.output.splitlines()
    assert lines[:4] == [
        "data: mnist-sample",
        "samples: 50",
        "shape of an input: [1, 28, 28]",
        "values: 0 to 1 in 50 samples",
    ]
    assert lines[4] == "label 0: 0, 5 samples"
    assert lines[12] == "label 8: 8, no samples"


def test_a_command_on_a_folder_shows_the_labels_of_the_classes(
    shell: Shell, tmp_path: Path
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("L", (28, 28)).save(tmp_path / "photos" / name / "1.png")
    outcome = shell("data", "show", f"folder:{tmp_path / 'photos'}")
    assert "photos: 2 images in 2 classes: 0 = cat, 1 = dog" in outcome.message


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


def test_the_text_of_a_card_is_shown_as_it_is(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = zoo_cards()["mnist-cnn"].model_dump(mode="json")
    card |= {"architecture": "[/red]net", "data": "a\x1b[2Jb", "accuracy": {"[bold]x": 0.5}}
    (tmp_path / "odd.json").write_text(json.dumps(card))
    monkeypatch.setattr(zoo, "zoo_folder", lambda: tmp_path)
    outcome = shell("model", "list")
    assert outcome.code == 0
    assert "zoo:odd" in outcome.output
    assert "[/red]net" in outcome.output
    assert "[bold]x: 50.00 %" in outcome.output
    assert "\x1b" not in outcome.output
    assert r"a\x1b[2Jb" in outcome.output


def test_a_card_that_is_damaged_is_one_message(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd.json").write_text('{"name": "odd"}')
    monkeypatch.setattr(zoo, "zoo_folder", lambda: tmp_path)
    outcome = shell("model", "list")
    assert outcome.code == 2
    assert "odd.json does not have the expected entries (architecture: Field required" in (
        outcome.message
    )
