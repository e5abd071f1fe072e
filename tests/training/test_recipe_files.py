"""Recipes: reading, settings, and what is said of each wrong field."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from minnorm import specs
from minnorm.data import CATALOGUE
from minnorm.models import build, zoo_cards
from minnorm.training import Recipe, load_recipe, shipped_recipes

CONTENT: dict[str, Any] = {
    "name": "mine",
    "architecture": "mnist_cnn",
    "data": "mnist-sample[:500]",
    "validation": "mnist-sample[500:750]",
    "test": "mnist-sample[750:]",
    "epochs": 3,
    "batch_size": 50,
    "optimizer": {"learning_rate": 0.1},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Gives the file of a recipe."""
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    return path


def test_a_recipe_has_defaults(file: Path) -> None:
    recipe = load_recipe(file)
    assert recipe == Recipe.model_validate(CONTENT)
    assert (recipe.objective, recipe.precision, recipe.seed) == ("clean", "32-true", 0)
    assert (recipe.optimizer.momentum, recipe.optimizer.weight_decay) == (0.9, 0)
    assert recipe.schedule.milestones == ()


def test_a_recipe_written_as_json_is_the_same_when_read(file: Path) -> None:
    recipe = load_recipe(file)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_a_recipe_cannot_be_changed(file: Path) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_recipe(file).epochs = 4  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_is_valid_and_names_what_there_is(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    build(recipe.architecture)
    for spec in (recipe.data, recipe.validation, recipe.test):
        assert specs.parse(spec).head.partition("/")[0] in CATALOGUE
    assert all(milestone < recipe.epochs for milestone in recipe.schedule.milestones)


@pytest.mark.parametrize("name", sorted(zoo_cards()))
def test_the_recipe_of_every_network_of_the_zoo_is_shipped(name: str) -> None:
    assert Recipe.model_validate(zoo_cards()[name].recipe) == load_recipe(name)


def test_the_recipe_of_the_zoo_s_network_is_shipped_and_keeps_its_sets_apart() -> None:
    recipe = load_recipe("mnist-cnn")
    assert recipe.data == "mnist/train[:55000]"
    assert recipe.validation == "mnist/train[55000:]"
    assert recipe.test == "mnist"


def test_settings_change_a_recipe(file: Path) -> None:
    settings = [
        "epochs=7",
        " optimizer.nesterov = true",
        "optimizer.learning_rate=1e-3",
        "schedule.name=milestones",
        "schedule.milestones=[2, 4]",
        "data=mnist/train[:100]",
    ]
    recipe = load_recipe(file, settings)
    assert recipe.epochs == 7
    assert recipe.optimizer.nesterov
    assert recipe.optimizer.learning_rate == 0.001
    assert recipe.schedule.milestones == (2, 4)
    assert recipe.data == "mnist/train[:100]"
    assert load_recipe(file).epochs == 3


def test_a_setting_may_hold_an_equals_sign(file: Path) -> None:
    recipe = load_recipe(file, ["architecture=mnist_cnn(dropout=0.1)"])
    assert recipe.architecture == "mnist_cnn(dropout=0.1)"


def test_the_last_of_two_settings_counts(file: Path) -> None:
    assert load_recipe(file, ["epochs=7", "epochs=8"]).epochs == 8


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\x80\xff\x00")
    with pytest.raises(ValueError, match=r"recipe.yaml is not a recipe: it is no text"):
        load_recipe(tmp_path / "recipe.yaml")


def test_a_file_with_another_ending_is_refused(file: Path) -> None:
    other = file.rename(file.with_suffix(".txt"))
    with pytest.raises(ValueError, match=r"mine.txt: a recipe is a file whose name ends in .yaml"):
        load_recipe(other)


@pytest.mark.parametrize("setting", ["epochs", "=3", "", "epochs:3"])
def test_a_setting_that_is_no_pair_is_refused(file: Path, setting: str) -> None:
    message = f"cannot read the setting {setting!r}: write key=value."
    with pytest.raises(ValueError, match=re.escape(message)):
        load_recipe(file, [setting])


def test_a_setting_inside_a_value_is_refused(file: Path) -> None:
    message = "cannot set 'epochs.more': 'epochs' is a value, not a group of values."
    with pytest.raises(ValueError, match=re.escape(message)):
        load_recipe(file, ["epochs.more=1"])


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("epochs=0", "epochs: Input should be greater than or equal to 1"),
        ("epochs=many", "epochs: Input should be a valid integer"),
        ("batch_size=0", "batch_size: Input should be greater than or equal to 1"),
        ("name=Not A Name", "name: expected lower-case letters"),
        ("name=../escape", "name: expected lower-case letters"),
        ("epoch=1", "unknown setting 'epoch'. Did you mean 'epochs'?"),
        ("optimizer.speed=1", "unknown setting 'speed' in optimizer. Available: learning_rate"),
        ("optimizer=sgd", "optimizer: expected settings of its own"),
        ("optimizer.name=adam", "optimizer.name: Input should be 'sgd'"),
        ("optimizer.learning_rate=0", "optimizer.learning_rate: Input should be greater than 0"),
        ("optimizer.learning_rate=.nan", "optimizer.learning_rate: Input should be"),
        ("optimizer.learning_rate=.inf", "optimizer.learning_rate: Input should be"),
        ("optimizer.momentum=1", "optimizer.momentum: Input should be less than 1"),
        ("schedule.milestones=[0]", "schedule.milestones.0: Input should be greater than or equal"),
        (
            "schedule.milestones=[2]",
            "schedule: constant takes no milestones, but name",
        ),
        ("schedule.name=milestones", "schedule: which milestones? for example"),
        ("schedule.factor=2", "schedule.factor: Input should be less than or equal to 1"),
        ("precision=8", "precision: Input should be '32-true', 'bf16-mixed' or '16-mixed'"),
        ("objective=cleam", "unknown objective 'cleam'. Did you mean 'clean'? Available:"),
        ("objective=madry", "'madry' lacks epsilon: write madry(epsilon=...)."),
        ("objective=madry(eps=1)", "unknown parameter 'eps' of madry."),
        ("objective=ddn(max_norm=0)", "max_norm=0: expected a number above 0."),
        ("objective=ddn(max_norm=1, warm_start='no')", "warm_start='no': expected True or False"),
        ("objective=closest(max_norm=1, attack=5)", "attack=5: expected the spec of an attack"),
        ("objective=ensemble(models=[1], epsilon=0.1)", "models=[1]: expected a list"),
        ("epochs=yes", "epochs: a truth value was given; expected a number"),
        ("optimizer.learning_rate=true", "optimizer.learning_rate: a truth value"),
        ("optimizer={learning_rate: 1, momentum: 0, nesterov: true}", "nesterov needs a momentum"),
        ("seed=-1", "seed: Input should be greater than or equal to 0"),
        ("seed=4294967296", "seed: Input should be less than 4294967296"),
        ("schedule.warmup=100", "schedule.warmup=100: expected less than epochs="),
        ("augmentation=['RandomCrop(size=20)[:5]']", "a transform has no slice"),
        ("robust_validation.eps=0.3", "unknown setting 'eps' in robust_validation"),
        ("robust_validation={epsilon: 1, attack: [ddn]}", "robust_validation.attack: Input should"),
        (
            "robust_validation={epsilon: 2, attack: \"worst_case(attacks=['pgd(epsilon=1)'])\"}",
            "looks within another radius than epsilon=2",
        ),
        ("augmentation=[\"RandomErasing(scale='a')\"]", "RandomErasing(scale='a'): "),
        ("name=recipe", "name: its card would take the place of recipe.json"),
    ],
)
def test_a_wrong_field_is_named(file: Path, setting: str, problem: str) -> None:
    message = rf"(?s)mine.yaml with .* is not a valid recipe\.\n  .*{re.escape(problem)}"
    with pytest.raises(ValueError, match=message):
        load_recipe(file, [setting])


def test_all_wrong_fields_are_named_at_once(file: Path) -> None:
    nameless = {key: value for key, value in CONTENT.items() if key != "name"}
    file.write_text(yaml.safe_dump(nameless))
    with pytest.raises(ValueError, match=r"(?s)name: Field required.*epochs: Input should be"):
        load_recipe(file, ["epochs=0"])


@pytest.mark.parametrize("content", ["", "[1, 2]", "just words"])
def test_a_file_without_keys_and_values_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(ValueError, match=r"mine.yaml is not a recipe: expected keys and values"):
        load_recipe(file)


def test_what_is_not_yaml_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match=r"mine.yaml or a setting cannot be read as YAML: "):
        load_recipe(file, ["epochs=[1"])
    with pytest.raises(ValueError, match=r"mine.yaml or a setting cannot be read as YAML: "):
        load_recipe(file, ["seed=2020-13-45"])
    file.write_text("name: [")
    with pytest.raises(ValueError, match=r"mine.yaml or a setting cannot be read as YAML: "):
        load_recipe(file)


def test_a_key_that_is_given_twice_is_refused(file: Path) -> None:
    whole = file.read_text()
    file.write_text(whole + "\nepochs: 1\n")
    with pytest.raises(ValueError, match="the key 'epochs' is given 2 times"):
        load_recipe(file)
    file.write_text(whole)
    for setting in (
        "optimizer={learning_rate: 1, learning_rate: 2}",
        "objective={1: clean, '1': clean}",
    ):
        with pytest.raises(ValueError, match=r"the key '(learning_rate|1)' is given 2 times"):
            load_recipe(file, [setting])


def test_what_is_nested_too_deeply_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read as YAML"):
        load_recipe(file, ["epochs=" + 5000 * "["])
    with pytest.raises(ValueError, match="cannot read the arguments"):
        load_recipe(file, [f"objective=clean(label_smoothing={6000 * '-'}1)"])


def test_of_an_objective_no_inner_names_are_told(file: Path) -> None:
    with pytest.raises(ValueError, match="not a valid recipe") as caught:
        load_recipe(file, ["objective={a: clean}"])
    assert "objective.a: Input should be a valid integer" in str(caught.value)
    assert "dict" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("augmentation=RandomCrop(size=28)", "augmentation: expected a list"),
        ("robust_validation=ddn", "robust_validation: expected settings of its own, as in"),
        ("name=My_Net", "name: expected lower-case letters, digits, dots and dashes"),
    ],
)
def test_errors_have_the_words_of_recipes(file: Path, setting: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        load_recipe(file, [setting])


def test_the_page_names_all_shipped_recipes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    assert [name for name in shipped_recipes() if f"`{name}`" not in page] == []


def test_yaml_cannot_run_code(file: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    file.write_text(f"name: !!python/object/apply:os.mkdir ['{touched}']\n")
    with pytest.raises(ValueError, match="cannot be read as YAML"):
        load_recipe(file)
    assert not touched.exists()


def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no recipe .*none.yaml"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match=r"unknown recipe 'mnist-cmn'\. Did you mean 'mnist-cnn'"):
        load_recipe("mnist-cmn")


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (
            {2: "clean"},
            r"from each of the epochs \[2\]; the first of them has to be 1, .* at most epochs=3",
        ),
        ({1: "clean", 4: "clean"}, r"epochs \[1, 4\]; .* at most epochs=3"),
        ({}, r"epochs \[\]; the first"),
        ({1: "clan"}, "Did you mean 'clean'"),
        ({"one": "clean"}, "objective"),
    ],
)
def test_objectives_by_epoch_begin_with_the_first(
    tmp_path: Path, objective: dict[int, str], message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**CONTENT, "objective": objective}, sort_keys=False))
    with pytest.raises(ValueError, match=message):
        load_recipe(path)


def test_objectives_by_epoch_are_the_same_when_read_again(tmp_path: Path) -> None:
    objectives = {1: "madry(epsilon=0.1)", 3: "madry(epsilon=0.3)"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**CONTENT, "objective": objectives}))
    recipe = load_recipe(path)
    assert recipe.objectives == objectives
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert load_recipe(path, ["objective.2=clean"]).objectives[2] == "clean"
