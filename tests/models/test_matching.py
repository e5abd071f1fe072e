"""Weights under other names: prefixes, dictionaries around them, and what does not fit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from minnorm.errors import InputError
from minnorm.models.matching import choose_state, states_in


def _network() -> nn.Module:
    torch.manual_seed(0)
    layers = {"conv": nn.Conv2d(1, 2, 3), "norm": nn.BatchNorm2d(2), "head": nn.Linear(2, 3)}
    return nn.ModuleDict(layers)


STATE = _network().state_dict()


def _prefixed(prefix: str, state: dict[str, Tensor] = STATE) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}


def _chosen(content: Any) -> dict[str, Tensor]:
    return dict(choose_state(states_in(content), _network(), "w.pt", "mine:net"))


@pytest.mark.parametrize(
    "prefix", ["", "module.", "_orig_mod.", "model.", "net.", "_orig_mod.module.", "a.b.encoder."]
)
@pytest.mark.parametrize(
    "around",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"state": {0: {"step": 1}}}},
        lambda state: {"model": state},
        lambda state: {"model_state_dict": state},
        lambda state: {"net": state},
        lambda state: {"ema": state},
        lambda state: {"model": {"state_dict": state}},
    ],
)
def test_a_prefix_of_all_names_and_dictionaries_around_them_are_ignored(
    prefix: str, around: Callable[[Any], Any]
) -> None:
    found = _chosen(around(_prefixed(prefix)))
    assert found.keys() == STATE.keys()
    assert all(found[name] is STATE[name] for name in STATE)


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        AveragedModel,
        nn.Sequential,
        lambda network: nn.ModuleDict({"model": nn.ModuleDict({"net": network})}),
    ],
)
def test_the_weights_of_a_wrapped_network_fit_the_network_and_the_reverse(
    wrap: Callable[[nn.Module], nn.Module],
) -> None:
    wrapped = wrap(_network())
    assert _chosen(wrapped.state_dict()).keys() == STATE.keys()
    assert _chosen(wrapped).keys() == STATE.keys()
    bare = {name: value for name, value in wrapped.state_dict().items() if name != "n_averaged"}
    if bare.keys() == wrapped.state_dict().keys():
        assert choose_state({"": STATE}, wrapped, "w.pt", "mine:net").keys() == bare.keys()


def test_a_name_that_torch_compile_adds_inside_is_ignored() -> None:
    names = {name: name.replace("head.", "head._orig_mod.") for name in STATE}
    assert _chosen({names[name]: value for name, value in STATE.items()}).keys() == STATE.keys()


def test_old_checkpoints_without_the_counts_of_batch_norms_fit() -> None:
    old = {name: value for name, value in STATE.items() if "num_batches" not in name}
    assert _chosen(_prefixed("module.", old)).keys() == old.keys()


def test_of_several_weights_only_those_that_fit_count() -> None:
    other = nn.Linear(2, 5).state_dict()
    assert _chosen({"generator": other, "classifier": STATE}).keys() == STATE.keys()
    assert _chosen({"model": STATE, "ema": dict(STATE)}).keys() == STATE.keys()


def test_several_weights_that_fit_and_differ_are_refused() -> None:
    changed = {name: value + 1 for name, value in STATE.items()}
    message = (
        r"w\.pt has several weights that fit 'mine:net', and they differ: \['model'\], \['ema'\]\. "
        r".*torch\.save\(torch\.load\('w\.pt'\)\['model'\], 'weights\.pt'\)"
    )
    with pytest.raises(InputError, match=message):
        _chosen({"model": STATE, "ema": changed})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"criterion.weight": torch.ones(3), **_prefixed("model.")},
            r"\(with the prefix 'model\.' removed or added\): only in the file: "
            r"criterion\.weight\. Save the weights of the network alone",
        ),
        (
            {name: value for name, value in STATE.items() if "conv" not in name},
            r"missing in the file: conv\.weight, conv\.bias\. Write the architecture",
        ),
        (
            {**STATE, "head.weight": torch.ones(7, 2), "head.bias": torch.ones(7)},
            r"other shapes: head\.weight is \[7, 2\], expected \[3, 2\], head\.bias is \[7\], "
            r"expected \[3\]\. Set the number of classes in the architecture to 7; it is 3\.",
        ),
        (
            {**STATE, "conv.weight": torch.ones(2, 5, 3, 3)},
            r"conv\.weight is \[2, 5, 3, 3\], expected \[2, 1, 3, 3\]\. Write the architecture",
        ),
    ],
)
def test_the_difference_is_named(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(InputError, match=rf"w\.pt do not fit 'mine:net'.*{message}"):
        _chosen(state)


def test_a_prefix_of_some_names_only_does_not_count() -> None:
    half = {(f"model.{name}" if "conv" in name else name): value for name, value in STATE.items()}
    with pytest.raises(InputError, match="do not fit"):
        _chosen(half)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, torch.zeros(3), {"log": {1: 2}}])
def test_what_holds_no_weights_has_no_states(content: Any) -> None:
    assert states_in(content) == {}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda value: value.int(), "torch.int32"),
        (lambda value: value.to(torch.complex64), "torch.complex64"),
        (lambda value: value.to("meta"), "without values"),
        (lambda value: value.to_sparse(), "sparse"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_weights_that_a_network_would_convert_are_refused(
    change: Callable[[Tensor], Tensor], problem: str, prefix: str
) -> None:
    state = STATE | {"head.weight": change(STATE["head.weight"])}
    with pytest.raises(InputError, match=rf"w\.pt holds weights .*: head\.weight is {problem}"):
        _chosen(_prefixed(prefix, state))


def test_names_of_which_only_some_have_a_prefix_are_refused_with_that_prefix() -> None:
    state = {("module." if "head" in name else "") + name: STATE[name] for name in STATE}
    with pytest.raises(InputError, match=r"'mine:net': only some names have the prefix 'module\.'"):
        _chosen(state)
    with pytest.raises(InputError, match=r"'mine:net': only some names have the prefix 'ema\.'"):
        _chosen(STATE | _prefixed("ema."))
