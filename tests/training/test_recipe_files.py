"""Reading recipes: files, settings, and the message for each wrong setting."""

import re
from pathlib import Path

import pytest
import yaml

from minnorm import specs
from minnorm.data import CATALOGUE
from minnorm.errors import InputError, MissingFileError
from minnorm.models import build
from minnorm.training import Recipe, load_recipe, shipped_recipes
from training.recipes import CONTENT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of a recipe."""
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(CONTENT))
    return path


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_can_be_read_and_names_what_exists(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    build(recipe.architecture)
    for spec in (recipe.data, recipe.validation, recipe.test):
        assert specs.parse(spec).head.partition("/")[0] in CATALOGUE
    assert all(milestone < recipe.epochs for milestone in recipe.schedule.milestones)


def test_a_shipped_recipe_keeps_its_sets_of_data_apart() -> None:
    recipe = load_recipe("mnist-cnn")
    assert recipe.data == "mnist/train[:55000]"
    assert recipe.validation == "mnist/train[55000:]"
    assert recipe.test == "mnist"


def test_a_file_is_read_as_a_recipe(file: Path) -> None:
    assert load_recipe(file) == Recipe.model_validate(CONTENT)
    assert load_recipe(str(file)) == Recipe.model_validate(CONTENT)


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


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\x80\xff\x00")
    with pytest.raises(InputError, match=r"recipe.yaml is not a recipe: it is not a text file"):
        load_recipe(tmp_path / "recipe.yaml")


def test_a_file_with_another_ending_is_refused(file: Path) -> None:
    other = file.rename(file.with_suffix(".txt"))
    with pytest.raises(InputError, match=r"mine.txt: expected the file of a recipe, whose name en"):
        load_recipe(other)


@pytest.mark.parametrize("setting", ["epochs", "=3", "", "epochs:3"])
def test_a_setting_that_is_no_pair_is_refused(file: Path, setting: str) -> None:
    message = f"cannot read the setting {setting!r}: write key=value."
    with pytest.raises(InputError, match=re.escape(message)):
        load_recipe(file, [setting])


def test_a_setting_inside_a_value_is_refused(file: Path) -> None:
    message = "cannot set 'epochs.more': 'epochs' is a value, not a group of values."
    with pytest.raises(InputError, match=re.escape(message)):
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
        ("optimizer=sgd", "optimizer: expected a group of settings"),
        ("optimizer.name=adam", "optimizer.name: Input should be 'sgd'"),
        ("optimizer.learning_rate=0", "optimizer.learning_rate: Input should be greater than 0"),
        ("optimizer.learning_rate=.nan", "optimizer.learning_rate: Input should be"),
        ("optimizer.learning_rate=.inf", "optimizer.learning_rate: Input should be"),
        ("optimizer.momentum=1", "optimizer.momentum: Input should be less than 1"),
        ("schedule.milestones=[0]", "schedule.milestones.0: Input should be greater than or equal"),
        ("schedule.milestones=[2]", "schedule: constant takes no milestones; use name"),
        ("schedule.name=milestones", "schedule: milestones are missing; set them, for example"),
        ("schedule.factor=2", "schedule.factor: Input should be less than or equal to 1"),
        ("precision=8", "precision: Input should be '32-true', 'bf16-mixed' or '16-mixed'"),
        ("objective=cleam", "unknown objective 'cleam'. Did you mean 'clean'? Available:"),
        ("objective=madry", "'madry' requires epsilon: write madry(epsilon=...)."),
        ("objective=madry(size=1)", "unknown parameter 'size' of madry."),
        ("objective=ddn(max_norm=0)", "max_norm=0: expected a number above 0."),
        ("objective=ddn(max_norm=1, warm_start='no')", "warm_start='no': expected True or False"),
        ("objective=closest(max_norm=1, attack=5)", "attack=5: expected the spec of an attack"),
        ("objective=ensemble(models=[1], epsilon=0.1)", "models=[1]: expected a list"),
        ("epochs=yes", "epochs: true or false was given; expected a number"),
        ("optimizer.learning_rate=true", "optimizer.learning_rate: true or false"),
        ("optimizer={learning_rate: 1, momentum: 0, nesterov: true}", "nesterov needs a momentum"),
        ("seed=-1", "seed: Input should be greater than or equal to 0"),
        ("seed=4294967296", "seed: Input should be less than 4294967296"),
        ("schedule.warmup=100", "schedule.warmup=100: expected less than epochs="),
        ("augmentation=['RandomCrop(size=20)[:5]']", "a transform has no slice"),
        ("robust_validation.eps=0.3", "unknown setting 'eps' in robust_validation"),
        ("robust_validation={epsilon: 1, attack: [ddn]}", "robust_validation.attack: Input should"),
        (
            "robust_validation={epsilon: 2, attack: \"worst_case(attacks=['pgd(epsilon=1)'])\"}",
            "searches within another radius than epsilon=2",
        ),
        ("augmentation=[\"RandomErasing(scale='a')\"]", "RandomErasing(scale='a'): "),
        ("name=recipe", "name: the card of this name would overwrite recipe.json"),
    ],
)
def test_a_wrong_setting_is_named(file: Path, setting: str, problem: str) -> None:
    message = rf"(?s)mine.yaml with .* is not a valid recipe\.\n  .*{re.escape(problem)}"
    with pytest.raises(InputError, match=message):
        load_recipe(file, [setting])


def test_all_wrong_settings_are_named_at_once(file: Path) -> None:
    nameless = {key: value for key, value in CONTENT.items() if key != "name"}
    file.write_text(yaml.safe_dump(nameless))
    with pytest.raises(InputError, match=r"(?s)name: Field required.*epochs: Input should be"):
        load_recipe(file, ["epochs=0"])


@pytest.mark.parametrize("content", ["", "[1, 2]", "just words"])
def test_a_file_without_keys_and_values_is_refused(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(InputError, match=r"mine.yaml is not a recipe: expected keys and values"):
        load_recipe(file)


def test_a_file_or_a_setting_that_is_not_yaml_is_refused(file: Path) -> None:
    with pytest.raises(InputError, match=r"the setting 'epochs=\[1' cannot be read as YAML: "):
        load_recipe(file, ["epochs=[1"])
    with pytest.raises(InputError, match=r"the setting 'seed=.*' cannot be read as YAML: "):
        load_recipe(file, ["seed=2020-13-45"])
    file.write_text("name: [")
    with pytest.raises(InputError, match=r"mine.yaml cannot be read as YAML: "):
        load_recipe(file)


def test_a_key_that_is_given_twice_is_refused(file: Path) -> None:
    whole = file.read_text()
    file.write_text(whole + "\nepochs: 1\n")
    with pytest.raises(InputError, match="the key 'epochs' is given 2 times"):
        load_recipe(file)
    file.write_text(whole)
    for setting in (
        "optimizer={learning_rate: 1, learning_rate: 2}",
        "objective={1: clean, '1': clean}",
    ):
        with pytest.raises(InputError, match=r"the key '(learning_rate|1)' is given 2 times"):
            load_recipe(file, [setting])


def test_too_many_brackets_are_refused(file: Path) -> None:
    with pytest.raises(InputError, match="has values nested more than 20 deep"):
        load_recipe(file, ["epochs=" + 5000 * "["])
    with pytest.raises(InputError, match="cannot read the arguments"):
        load_recipe(file, [f"objective=clean(label_smoothing={6000 * '-'}1)"])


def test_the_message_about_an_objective_names_no_python_type(file: Path) -> None:
    with pytest.raises(InputError, match="not a valid recipe") as caught:
        load_recipe(file, ["objective={a: clean}"])
    assert "objective.a: Input should be a valid integer" in str(caught.value)
    assert "dict" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("augmentation=RandomCrop(size=28)", "augmentation: expected a list"),
        ("robust_validation=ddn", "robust_validation: expected a group of settings, for exam"),
        ("name=My_Net", "name: expected lower-case letters, digits, dots and dashes"),
    ],
)
def test_messages_have_the_terms_of_recipes(file: Path, setting: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load_recipe(file, [setting])


def test_yaml_cannot_run_code(file: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    file.write_text(f"name: !!python/object/apply:os.mkdir ['{touched}']\n")
    with pytest.raises(InputError, match="cannot be read as YAML"):
        load_recipe(file)
    assert not touched.exists()


def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"there is no recipe .*none.yaml"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"unknown recipe 'mnist-cmn'\. Did you mean 'mnist-cnn'"):
        load_recipe("mnist-cmn")


def test_a_setting_may_replace_one_of_several_objectives(file: Path) -> None:
    several = "objective={1: 'madry(epsilon=0.1)', 3: 'madry(epsilon=0.3)'}"
    recipe = load_recipe(file, [several, "objective.2=clean"])
    assert recipe.objectives[2] == "clean"
    assert list(recipe.objectives) == [1, 2, 3]
