"""Short names of models: nothing but what tells them apart."""

from itertools import permutations

import pytest

from minnorm.report.model_names import short_names

LONG = "mean=[0.4, 0.5, 0.6], std=[0.2, 0.2, 0.2]"


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["zoo:mnist-cnn"], ["mnist-cnn"]),
        (["Net"], ["Net"]),
        ([f"runs/catnet.pt + catnet:CatNet({LONG})"], ["catnet.pt"]),
        (["/far/away/last.safetensors"], ["last.safetensors"]),
        (["weights + own:Net"], ["weights"]),
        ([f"own:model(width=4, {LONG})"], ["own:model"]),
        (["timm:hf_hub/a.b(pretrained=True)", "own:model"], ["timm:hf_hub/a.b", "own:model"]),
        (
            ["k/a/x.pt", "l/a/x.pt", "l/b/x.pt", "y.pt"],
            ["k/a/x.pt", "l/a/x.pt", "b/x.pt", "y.pt"],
        ),
        (["far/a/x.pt + m:N(mean=0)", "far/b/x.pt + m:N(mean=1)"], ["a/x.pt", "b/x.pt"]),
        (["k/x.pt + m:A(mean=0)", "k/x.pt + m:B(mean=1)"], ["x.pt + m:A", "x.pt + m:B"]),
        (
            [f"k/x.pt + m:N(width=4, {LONG})", f"k/x.pt + m:N(width=8, {LONG})"],
            ["x.pt + m:N(width=4)", "x.pt + m:N(width=8)"],
        ),
        (
            ["m:N(a=1, b=2)", "m:N(b=2, a=3)", "m:N(a=3, b=2, c=None)", "m:M(a=1)"],
            ["m:N(a=1)", "m:N(a=3)", "m:N(a=3, c=None)", "m:M"],
        ),
        (["m:N(a=[1, 2])", "m:N"], ["m:N(a=[1, 2])", "m:N"]),
        (["zoo:a", "zoo:a"], ["a", "a"]),
        (["x.pt + m:N(mean=0)", "x.pt + m:N(mean=0.0)"], ["x.pt", "x.pt"]),
        (["<img src=x onerror=alert(1)>", "a(b"], ["<img src=x onerror=alert(1)>", "a(b"]),
        ([], []),
    ],
)
def test_names_hold_what_tells_the_models_apart(models: list[str], names: list[str]) -> None:
    assert short_names(models) == names


def test_names_of_different_models_differ_in_any_order() -> None:
    models = ["a/x.pt + m:N(mean=0)", "a/x.pt + m:N(mean=1)", "b/x.pt", "x.pt", "m:N(mean=0)"]
    for order in permutations(models):
        assert len(set(short_names(order))) == len(models)
