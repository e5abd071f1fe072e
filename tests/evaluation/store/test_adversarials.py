"""Adversarials in hand: the right tensors for the right records, and only the files needed."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evaluation.small_runs import ATTACKS, BATCHES, SHARDS, run
from evaluation.tiny_models import Centered
from minnorm.data import load_data
from minnorm.errors import InputError
from minnorm.evaluation import WORST_CASE, Adversarials, Evaluation, closest_records, load_run
from minnorm.evaluation.store.unit_files import Kept, UnitFiles
from minnorm.evaluation.store.units import Unit

ONE, OTHER = ATTACKS
SLICED = "mnist-sample[30:6:-2]"


@pytest.fixture(scope="module")
def targeted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with three targets for each of 12 samples, in another order than that of the data."""
    out = tmp_path_factory.mktemp("runs") / "targeted"
    run(out, data=SLICED, targets="random:3")
    return out


def check(found: Adversarials) -> None:
    """Check tensors with the data, the model and the distances of the records."""
    rows = found.records.to_pylist()
    images, _ = load_data("mnist-sample").batch([row["index"] for row in rows])
    assert found.inputs.equal(images)
    with torch.no_grad():
        classes = Centered().eval()(found.adversarials).argmax(1)
    failed = torch.tensor([not row["success"] for row in rows])
    predicted = torch.tensor([row["adversarial_prediction"] for row in rows])
    assert classes[~failed].equal(predicted[~failed])
    assert found.adversarials[failed].equal(found.inputs[failed])
    lengths = (found.adversarials - found.inputs).flatten(1).double().norm(dim=1)
    measured = torch.tensor([row["l2"] for row in rows], dtype=torch.float64)
    torch.testing.assert_close(lengths[~failed], measured[~failed], rtol=1e-5, atol=1e-6)


def test_adversarials_are_those_of_an_attack_in_the_order_of_its_records(finished: Path) -> None:
    loaded = load_run(finished)
    found = loaded.adversarials("ddn(levels=256, steps=3)")  # another form of the spec
    assert found.records.equals(loaded.records.slice(12))
    assert len(found) == 12
    assert repr(found) == "Adversarials(12 of shape [1, 28, 28])"
    check(found)


def test_a_run_gives_its_adversarials_when_it_ends_too(tmp_path: Path) -> None:
    check(run(tmp_path / "run", attacks=ATTACKS[:1]).adversarials(ONE))


def test_samples_are_chosen_by_index_and_in_that_order(targeted: Path) -> None:
    loaded = load_run(targeted)
    found = loaded.adversarials(ONE, indices=[8, 30, 8])
    assert found.records.column("index").to_pylist() == 3 * [8] + 3 * [30] + 3 * [8]
    assert len(set(found.records.column("target").to_pylist()[:3])) == 3
    check(found)
    with pytest.raises(InputError, match=r"no adversarial of the run in .* was chosen"):
        loaded.adversarials(ONE, indices=[])


@pytest.mark.parametrize("as_name", [False, True])
def test_a_target_is_chosen_by_its_label_or_name(targeted: Path, as_name: bool) -> None:
    loaded = load_run(targeted)
    assert loaded.classes == tuple("0123456789")
    expected = [row for row in loaded.records.to_pylist()
                if row["target"] == 3 and row["attack"] == ONE]  # fmt: skip
    found = loaded.adversarials(ONE, "3" if as_name else 3)
    assert found.records.to_pylist() == expected
    assert len(found) > 0
    check(found)


def test_without_a_target_there_are_all_pairs(targeted: Path) -> None:
    loaded = load_run(targeted)
    found = loaded.adversarials(ONE)
    assert found.records.equals(loaded.records.slice(0, 36))
    check(found)


@pytest.mark.parametrize("which", ["finished", "targeted"])
def test_the_worst_case_is_that_of_the_attack_that_came_closest(
    which: str, request: pytest.FixtureRequest
) -> None:
    loaded = load_run(request.getfixturevalue(which))
    found = loaded.adversarials(WORST_CASE)
    closest = closest_records(loaded.records)
    for name in ("index", "target", "l2", "success"):
        assert found.records.column(name).equals(closest.column(name))
    if which == "targeted":
        assert set(found.records.column("attack").to_pylist()) == set(ATTACKS)
    check(found)
    index = closest.column("index").to_pylist()[::-5]
    some = loaded.adversarials(WORST_CASE, indices=index)
    assert list(dict.fromkeys(some.records.column("index").to_pylist())) == index
    check(some)


def test_the_worst_case_has_a_norm(tmp_path: Path) -> None:
    attacks = {"near": "ddn(steps=5)", "far": "fmn(norm=linf, steps=5)"}
    loaded = run(tmp_path / "run", attacks=attacks)
    for norm in ("l2", "linf"):
        found = loaded.adversarials(WORST_CASE, norm=norm)
        expected = closest_records(loaded.records, norm).column(norm)
        assert found.records.column(norm).equals(expected)
        named = loaded.adversarials(f"worst case in {norm}")  # as rows of tables are named
        assert named.records.equals(found.records)
        check(found)
    with pytest.raises(InputError, match="give the norm to measure in"):
        loaded.adversarials(WORST_CASE)


def test_only_the_files_that_are_needed_are_read(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_run(copy)
    for name in SHARDS:
        if name != SHARDS[3]:
            (copy / "adversarials" / f"{name}.safetensors").unlink()
    (copy / "inputs" / f"{BATCHES[0]}.safetensors").unlink()
    seen: list[Unit] = []
    read = UnitFiles.read

    def watched(files: UnitFiles, unit: Unit) -> Kept:
        seen.append(unit)
        return read(files, unit)

    monkeypatch.setattr(UnitFiles, "read", watched)
    check(loaded.adversarials(OTHER, indices=[7, 5]))
    assert seen == [Unit(1, 1)]
    with pytest.raises(InputError, match=r"000000-01\.safetensors is missing: repeat the command"):
        loaded.adversarials(OTHER, indices=[7, 0])


def test_a_file_that_was_damaged_since_the_run_was_loaded_is_noticed(copy: Path) -> None:
    loaded = load_run(copy)
    shutil.copy(copy / "inputs" / f"{BATCHES[0]}.safetensors",
                copy / "inputs" / f"{BATCHES[1]}.safetensors")  # fmt: skip
    with pytest.raises(InputError, match=r"000001\.safetensors is damaged or not of this run"):
        loaded.adversarials(ONE)
    check(loaded.adversarials(ONE, indices=range(5)))


CASES: dict[str, tuple[Callable[[Evaluation], Any], str]] = {
    "attack": (
        lambda it: it.adversarials("ddm"),
        "unknown attack 'ddm' in these records. Available: ",
    ),
    "untargeted": (lambda it: it.adversarials(ONE, 3), "are untargeted, so leave the target out"),
    "index": (
        lambda it: it.adversarials(ONE, indices=[3, 12]),
        "there is no such record of the sample 12: indices are positions in the whole data set",
    ),
    "fraction": (
        lambda it: it.adversarials(ONE, indices=np.array([0.5])),
        "indices=array([0.5]): expected positions in the data, such as [0, 5, 7]",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_in_a_run_is_refused(finished: Path, name: str) -> None:
    call, message = CASES[name]
    with pytest.raises(InputError, match=re.escape(message)):
        call(load_run(finished))


@pytest.mark.parametrize(
    ("target", "message"),
    [(12, "no record has the target 12. Available: 0, 1, 2"),
     ("thre", "unknown class 'thre' of the data.")],
)  # fmt: skip
def test_a_target_that_is_unknown_is_refused(
    targeted: Path, target: int | str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load_run(targeted).adversarials(ONE, target)


def test_a_class_has_no_name_if_none_is_known(tmp_path: Path) -> None:
    data = load_data("mnist-sample[:5]").batch(range(5))
    found = run(tmp_path / "run", data=data, targets="least-likely")
    assert found.classes == ()
    with pytest.raises(InputError, match="target='cat': the names of the classes are unknown"):
        found.adversarials(ONE, "cat")
    check(found.adversarials(ONE, str(found.records.column("target")[0])))


def test_a_run_that_has_kept_nothing_says_how_to_keep_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run directory, so it has kept .* out='FOLDER'"):
        run(None).adversarials(ONE)
    found = run(tmp_path / "run", save_adversarials=False)
    with pytest.raises(InputError, match="has kept no adversarials: repeat it in another folder"):
        found.adversarials(ONE)
