"""Evaluations of models without gradients, and by attacks that need none."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attacks.querying import by_decisions, by_scores
from evaluation.small_runs import DATA
from evaluation.tiny_models import Centered
from minnorm.access import Access
from minnorm.attacks import ENTRIES, ddn
from minnorm.attacks.contract import BEST_ATTACKS
from minnorm.errors import InputError
from minnorm.evaluation import Evaluation, evaluate
from minnorm.evaluation.preparation.arguments import accesses_of
from minnorm.models import predict_only

WEIGHT = Centered().weight.detach().numpy()


def scores(inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the logits of a linear classifier of MNIST images, with NumPy."""
    return np.asarray((inputs.reshape(len(inputs), -1) - 0.5) @ WEIGHT.T)


def classes(inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(scores(inputs).argmax(1))


def without_graph(inputs: Tensor) -> Tensor:
    """Return the logits of a plain function that leaves PyTorch."""
    return torch.from_numpy(scores(inputs.detach().numpy()))


def measured(model: Any, attacks: Any = None, **changes: Any) -> Evaluation:
    return evaluate(model, DATA, attacks, **{"batch_size": 5, **changes})


def costs(run: Evaluation) -> tuple[float, float]:
    """Return the least forward passes and the most backward passes of a sample."""
    columns = (np.asarray(run.records.column(one)) for one in ("forwards", "backwards"))
    forwards, backwards = columns
    return float(forwards.min()), float(backwards.max())


@pytest.mark.parametrize("attack", [by_scores, by_decisions])
def test_a_model_that_only_predicts_is_evaluated_without_gradients(attack: Any) -> None:
    run = measured(predict_only(scores), partial(attack, budget=20))
    assert run.warnings == ()
    assert costs(run) == (20 + 1 + (attack is by_decisions), 0)
    configuration = run.manifest["configuration"]
    assert configuration["acceleration"] == "off"
    assert [one["access"] for one in configuration["attacks"]] == [attack.needs_access]
    expected = measured(Centered().eval(), partial(attack, budget=20)).records
    for name in ("l2", "clean_prediction"):
        found, known = (np.asarray(one.column(name)) for one in (run.records, expected))
        assert np.allclose(found, known, rtol=1e-3)


@pytest.mark.parametrize(
    ("model", "offered"),
    [
        (predict_only(scores), "scores"),
        (predict_only(classes, outputs="classes", classes=10), "decisions"),
    ],
    ids=["scores", "decisions"],
)
def test_without_an_attack_the_best_for_what_the_model_offers_is_used(
    model: nn.Module, offered: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = BEST_ATTACKS[offered]["l2"]
    short = f"{name}(budget=30)"
    monkeypatch.setitem(BEST_ATTACKS, offered, {"l2": short})
    run = measured(model, out=tmp_path / "run")
    [entry] = run.manifest["configuration"]["attacks"]
    assert entry["name"] == entry["spec"] == short
    assert entry["access"] == ENTRIES[name].access
    assert np.isfinite(np.asarray(run.records.column("l2"))).all()


@pytest.mark.parametrize(("attack", "instead"), [("ddn(steps=2)", "decisions"), (by_scores, "")])
def test_a_model_that_offers_less_is_refused_before_anything_runs(
    attack: Any, instead: str, tmp_path: Path
) -> None:
    def never(_: Any) -> Any:
        raise AssertionError

    model = predict_only(never, outputs="classes", classes=10)
    needed = "gradients" if instead else "scores"
    message = (
        rf"needs {needed}, but the model predict_only\({never.__name__}\) offers decisions only\. "
        r"Use \w+"
    )
    with pytest.raises(InputError, match=message):
        measured(model, [by_decisions, attack], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_refusal_names_the_model_as_the_user_does() -> None:
    model = predict_only(lambda _: [0], outputs="classes", classes=2)
    with pytest.raises(InputError, match=r"^fast needs gradients, but the model net\.onnx offers"):
        accesses_of({"fast": ddn}, model, "net.onnx")


def test_a_function_without_a_graph_needs_an_attack_without_gradients(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        for attack in (by_scores, by_decisions):
            run = measured(without_graph, attack)
            assert run.warnings == ()
            assert np.isfinite(np.asarray(run.records.column("l2"))).all()
    assert caplog.text == ""
    [warning] = measured(without_graph, "ddn(steps=2)").warnings
    for name in ("straight_through", "predict_only", BEST_ATTACKS["scores"]["l2"]):
        assert name in warning

    def refusing(inputs: Tensor) -> Tensor:
        return torch.from_numpy(scores(inputs.numpy()))

    assert measured(refusing, by_scores).warnings == ()
    with pytest.raises(InputError, match=r"passes them to NumPy.*minnorm\.models\.predict_only"):
        measured(refusing, "ddn(steps=2)")


def test_a_run_may_mix_attacks_with_and_without_gradients() -> None:
    run = measured(Centered().eval(), ["ddn(steps=3)", by_decisions])
    uses = {one["name"]: one["access"] for one in run.manifest["configuration"]["attacks"]}
    assert uses == {"ddn(steps=3)": "gradients", "by_decisions": "decisions"}


def test_probabilities_are_a_doubt_but_for_attacks_by_decisions() -> None:
    model = nn.Sequential(Centered(), nn.Softmax(1)).eval()
    assert measured(model, by_decisions).warnings == ()
    [warning] = measured(model, by_scores).warnings
    assert "predict_only(function, outputs='probabilities')" in warning
    assert "look like probabilities" in measured(model, [by_scores, "ddn(steps=2)"]).warnings[0]


@pytest.mark.parametrize(
    ("attacks", "text", "expected"),
    [
        ([by_scores], "63 queries", 3 * 21),
        (["ddn(steps=4)"], "12 gradients", 3 * 4),
        (["ddn(steps=4)", by_scores], "75 gradients and queries", 3 * 25),
    ],
    ids=["queries", "gradients", "both"],
)
def test_progress_counts_queries_where_there_are_no_gradients(
    attacks: Any,
    text: str,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("minnorm.runtime.progress._MOST_SECONDS", 0.0)
    reports: list[tuple[int, int, int]] = []
    measured(
        Centered().eval(), attacks, accelerate="off", progress=True,
        on_progress=lambda *numbers: reports.append(numbers),
    )  # fmt: skip
    assert reports[-1][2] == expected
    assert f"attacking, {text}: {len(attacks) * 3} of" in capsys.readouterr().err


def test_a_run_continues(tmp_path: Path) -> None:
    model = predict_only(scores)
    first = measured(model, by_scores, out=tmp_path / "run")
    again = measured(model, [by_decisions, by_scores], out=tmp_path / "run")
    assert again.records.slice(0, len(first.records)).equals(first.records)
    assert len(again.records) == 2 * len(first.records)
