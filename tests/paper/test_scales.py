"""Values that depend on the scale."""

from typing import Any

import pytest

from minnorm.errors import InputError
from minnorm.paper.scales import Scale, at_scale, read_scale


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        ({"cpu": 3, "smoke": 1}, 3),
        ({"paper+cpu": 3, "smoke": 1}, 3),
        ({"a": {"paper+smoke": 3}}, {}),
        ({"paper+other": 3}, {"paper+other": 3}),
        ({"a": {"cpu": [1, 2]}}, {"a": [1, 2]}),
        ({"a": {"paper": 1}, "b": 2}, {"b": 2}),
        ([{"paper": 1}, {"cpu": 2}, 3], [2, 3]),
        ([{"a": 1, "scales": ["paper"]}, {"a": 2, "scales": ["paper", "cpu"]}], [{"a": 2}]),
        ({"cpu": {"paper": 5}}, None),
        ({"cpu": {"x": {"paper": 5, "cpu": 6}}}, {"x": 6}),
        ({"paper": 1, "a": 2}, {"paper": 1, "a": 2}),
        ({}, {}),
    ],
)
def test_a_mapping_of_scales_stands_for_one_of_its_values(value: Any, expected: Any) -> None:
    assert at_scale(value, "cpu") == expected


def test_an_item_is_left_out_only_if_it_needs_a_value_that_lacks_the_scale() -> None:
    row = {"name": "a", "attack": "ddn", "note": {"paper": "x"}}
    other = {"name": "b", "attack": {"paper": "ddn"}}
    setting = {"model": "m", "data": "d", "keep": {"paper": True}, "attacks": [row, other]}
    no_images = {"model": "m", "data": {"paper": "d"}, "attacks": []}
    claim = {"text": "t", "at_most": {"paper": 1}}
    found = at_scale({"settings": [setting, no_images], "claims": [claim]}, "cpu")
    kept = {"name": "a", "attack": "ddn"}
    assert found == {"settings": [{"model": "m", "data": "d", "attacks": [kept]}], "claims": []}


@pytest.mark.parametrize("value", [{"paper+cpu": 1, "cpu": 2}, {"cpu": 2, "cpu+smoke": 1}])
def test_a_scale_has_one_value(value: Any) -> None:
    with pytest.raises(InputError, match="a scale has two values in"):
        at_scale(value, "smoke")


def test_an_unknown_scale_has_a_suggestion() -> None:
    scale: Scale = read_scale("smoke")
    assert scale == "smoke"
    with pytest.raises(InputError, match=r"unknown scale 'smok'\. Did you mean 'smoke'\?"):
        read_scale("smok")
