"""The text of recipes: what is too large or too deep is refused at once."""

from pathlib import Path

import pytest

from minnorm.errors import InputError
from minnorm.training import load_recipe
from minnorm.training.recipe_text import parse_yaml, read_text

LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{one}: &{one} [{','.join([f'*{other}'] * 9)}]\n"
    for one, other in zip("bcdefghij", "abcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "anchor or alias 'a', which a recipe may not have: write the value again"),
        ("a: *b", "anchor or alias 'b'"),
        ("a: &b 1", "anchor or alias 'b'"),
        ("".join(f"key{n}: 1\n" for n in range(30_000)), "has more than 2,000 keys and values"),
        ("{" + ",".join(f"{n}: 1" for n in range(30_000)) + "}", "more than 2,000 keys and values"),
        ("a: [" + "1, " * 30_000 + "]", "has more than 2,000 keys and values"),
        ("a: " + 25 * "[", "has values nested more than 20 deep"),
        ("a: " + 5000 * "{", "has values nested more than 20 deep"),
        ("a: !!python/object/apply:os.mkdir [x]", "cannot be read as YAML: the tag"),
        ("a: !!set {x}", "cannot be read as YAML: the tag"),
        ("a: [1", "cannot be read as YAML: "),
        ("a: 2020-13-45", "cannot be read as YAML: "),
        ("a: 1\na: 2", "the key 'a' is given 2 times: keep one"),
        ("a: {b: 1, b: 2}", "the key 'b' is given 2 times"),
        ("a: 1\n---\nb: 1", "cannot be read as YAML: "),
    ],
)
def test_a_text_that_is_no_recipe_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml")
    assert message in str(caught.value)


def test_plain_values_are_read() -> None:
    text = "a: {b: [1, 2.5, x], 3: null}\nc: true"
    assert parse_yaml(text, "x") == {"a": {"b": [1, 2.5, "x"], 3: None}, "c": True}
    assert parse_yaml("", "x") is None


def test_large_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(10**12)  # a sparse file
    with pytest.raises(InputError, match=r"1,000,000,000,000 bytes; expected at most 200,000"):
        read_text(path)
    with pytest.raises(InputError, match=r"large.yaml is not a recipe: it has 1,000,000,000,000"):
        load_recipe(path)
