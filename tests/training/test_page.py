"""The page on training: its code runs, and it names what exists."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from minnorm.training import OBJECTIVES, Adversarial, Recipe, shipped_recipes
from training.objectives.cases import points_of, problem

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_python_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block.replace("[:800]", "[:256]"), "training.md", "exec"), names)  # noqa: S102 - our code
    assert (tmp_path / "runs" / "mine" / "mnist-cnn-ddn.safetensors").exists()
    assert names["card"].name == "mnist-cnn-ddn"
    for objective in (names["myobjective"](weight=0.5), names["objective"]):
        assert isinstance(objective, Adversarial)
        model, inputs, labels = problem()
        assert not points_of(objective, model, inputs, labels).equal(inputs)


def test_the_yaml_blocks_are_recipes() -> None:
    whole, objectives = (yaml.safe_load(block) for block in blocks("yaml"))
    assert Recipe.model_validate(whole).name == "mine"
    assert list(Recipe.model_validate({**whole, **objectives}).objectives) == [1, 4]


def test_the_page_names_all_shipped_recipes() -> None:
    assert [name for name in shipped_recipes() if f"`{name}`" not in PAGE] == []


def test_the_page_names_all_settings() -> None:
    (example,) = (block for block in blocks("yaml") if block.startswith("name:"))
    example_names = re.findall(r"^(\w+):", example, re.MULTILINE)
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {*example_names, *rows} >= Recipe.model_fields.keys()


def test_the_page_names_all_objectives_with_their_parameters() -> None:
    rows = dict(re.findall(r"^\| `(\w+)\((.*?)\)` \|", PAGE, re.MULTILINE))
    parameters = {
        name: [one for one in inspect.signature(make).parameters if one != "label_smoothing"]
        for name, make in OBJECTIVES.items()
    }
    assert {name: row.split(", ") if row else [] for name, row in rows.items()} == parameters
