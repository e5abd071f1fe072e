"""Words in the file of a recipe that name code: refused before anything is imported."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from minnorm.errors import InputError, NotTrustedError
from minnorm.training import load_recipe
from training.recipes import CONTENT

CODE = "intruder:run(command='id')"
"""A spec of the module `intruder`, which leaves a file behind when it is imported."""


@pytest.fixture
def touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make modules in a folder importable whose import leaves a file behind; return that file."""
    touched = tmp_path / "touched"
    for name in ("intruder", "zoo", "folder"):
        (tmp_path / f"{name}.py").write_text(f"open({str(touched)!r}, 'w').close()\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return touched


def file_of(folder: Path, ending: str = "yaml", **changes: Any) -> Path:
    """Write the file of a recipe with changes."""
    path = folder / f"mine.{ending}"
    content = {**CONTENT, **changes}
    path.write_text(json.dumps(content) if ending == "json" else yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("ending", ["yaml", "json"])
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("objective", CODE),
        ("objective", {1: "clean", 2: CODE}),
        ("objective", f'ensemble(models=["{CODE}"], epsilon=0.1)'),
        ("objective", r"ensemble(models=['\x69ntruder:run'], epsilon=0.1)"),
        ("objective", f'closest(max_norm=1, attack="{CODE}")'),
        ("objective", "zoo:run"),
        ("architecture", CODE),
        ("architecture", f"  {CODE}"),
        ("architecture", "intruder:run(mean=[0.5], std=[0.5])"),
        ("architecture", "zoo:run"),
        ("architecture", "package.intruder:run"),
        ("data", CODE),
        ("data", "intruder:run[:100]"),
        ("validation", CODE),
        ("test", CODE),
        ("initial", CODE),
        ("initial", f"weights.safetensors + {CODE}"),
        ("initial", "some+weights.pt + intruder:run"),
        ("initial", "folder:run"),
        ("augmentation", ["RandomCrop(size=28)", CODE]),
        ("robust_validation", {"epsilon": 1.0, "attack": CODE}),
        ("robust_validation", {"epsilon": 1, "attack": f'worst_case(attacks=["ddn", "{CODE}"])'}),
    ],
)
def test_a_word_of_a_file_that_names_code_is_refused_and_nothing_is_imported(
    tmp_path: Path, touched: Path, ending: str, setting: str, value: Any
) -> None:
    path = file_of(tmp_path, ending, **{setting: value})
    with pytest.raises(NotTrustedError) as caught:
        load_recipe(path)
    for part in (f"{path}: {setting}", "--trust in the shell, trust=True in Python"):
        assert part in str(caught.value)
    assert any(word in str(caught.value) for word in ("intruder", "zoo:run", "folder:run", "x69"))
    assert not touched.exists()


def test_text_in_base64_is_not_decoded(tmp_path: Path, touched: Path) -> None:
    path = file_of(tmp_path)
    text = "architecture: !!binary aW50cnVkZXI6cnVu\n"  # intruder:run
    path.write_text(path.read_text().replace("architecture: mnist_cnn\n", text))
    with pytest.raises(InputError, match=r"the tag 'tag:yaml.org,2002:binary' is not allowed"):
        load_recipe(path, trust=True)
    assert not touched.exists()


def test_with_trust_a_file_may_name_code(tmp_path: Path) -> None:
    objective = "training.test_loop:network"
    path = file_of(tmp_path, objective=objective)
    assert load_recipe(path, trust=True).objective == objective


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("objective", "training.test_loop:network"),
        ("architecture", "somewhere:network"),
        ("data", "somewhere:images"),
        ("initial", "weights.pt + somewhere:network"),
    ],
)
def test_words_of_the_command_line_are_the_user_s_own(
    tmp_path: Path, setting: str, value: str
) -> None:
    recipe = load_recipe(file_of(tmp_path), [f"{setting}={value}"])
    assert getattr(recipe, setting) == value
    # The same word in the file does not matter either if the command line sets it.
    recipe = load_recipe(file_of(tmp_path, **{setting: value}), [f"{setting}={value}"])
    assert getattr(recipe, setting) == value


def test_a_setting_covers_its_own_place_only(tmp_path: Path, touched: Path) -> None:
    path = file_of(tmp_path, objective={1: "clean", 2: CODE}, architecture=CODE)
    with pytest.raises(NotTrustedError, match="architecture: "):
        load_recipe(path, ["objective.2=clean", "architectures=mnist_cnn"])
    with pytest.raises(NotTrustedError, match=r"objective\.2: "):
        load_recipe(path, ["objective.1=clean", "architecture=mnist_cnn"])
    assert not touched.exists()
    recipe = load_recipe(path, ["objective.2=clean", "architecture=mnist_cnn"])
    assert recipe.objectives == {1: "clean", 2: "clean"}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("architecture", "torchvision:resnet18(num_classes=10)"),
        ("architecture", "timm:resnet18"),
        ("initial", "zoo:mnist-cnn"),
        ("initial", "/some/where/x.safetensors + wide_resnet(depth=16, width=4)"),
        ("initial", "x.pt + torchvision:resnet18(num_classes=10)"),
        ("data", "folder:photos(resize=256, crop=224)[::2]"),
        ("data", "imagenet:/data"),
        ("data", "odd:name.npz"),
        ("objective", "ensemble(models=['zoo:mnist-cnn'], epsilon=0.1)"),
        ("augmentation", ["RandomCrop(size=28, padding=2)"]),
        ("robust_validation", {"epsilon": 1.0, "attack": "worst_case(attacks=['ddn', 'fmn'])"}),
    ],
)
def test_words_that_name_no_code_need_no_trust(tmp_path: Path, setting: str, value: Any) -> None:
    recipe = load_recipe(file_of(tmp_path, **{setting: value}))
    assert recipe.model_dump(exclude_defaults=True)[setting]
