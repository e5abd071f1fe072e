"""The gallery: which adversarials it chooses, and that images and numbers belong together."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.record_tables import INF
from minnorm import evaluate
from minnorm.errors import InputError
from minnorm.evaluation import closest_records
from minnorm.evaluation.selection import values_of
from minnorm.report import load_runs
from minnorm.report.facts.gallery import Gallery, gallery
from minnorm.report.runs import LabeledRun, label_runs
from report.made_runs import attack_run

ATTACKS = ["ddn(steps=8)", "deepfool"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LabeledRun:
    """A run of two attacks on 12 images in batches of 5."""
    out = tmp_path_factory.mktemp("gallery") / "run"
    evaluate("zoo:mnist-cnn", "mnist-sample[3:15]", ATTACKS, out=out, batch_size=5)
    return load_runs([out])[0]


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png))).astype(float)


def test_items_are_the_closest_of_all_from_nearest_to_farthest(run: LabeledRun) -> None:
    shown = gallery(run, 48)
    closest = closest_records(run.run.records)
    rows = {row["index"]: row for row in closest.to_pylist()}
    assert (shown.of, len(shown.items), shown.norm, shown.remark) == (12, 12, "l2", None)
    assert [item.distance for item in shown.items] == sorted(values_of(closest, "l2").tolist())
    for item in shown.items:
        row = rows[item.index]
        assert item.distance == row["l2"]
        assert (item.label, item.clean_prediction, item.adversarial_prediction, item.target) == (
            row["label"], row["clean_prediction"], row["adversarial_prediction"], None,
        )  # fmt: skip
        assert item.attack in ATTACKS


def test_images_are_those_of_the_sample(run: LabeledRun) -> None:
    item = gallery(run, 3).items[1]
    kept = run.run.adversarials(item.attack, indices=[item.index])
    original, adversarial = kept.inputs[0, 0], kept.adversarials[0, 0]
    np.testing.assert_allclose(pixels(item.original), 255 * original.numpy(), atol=0.51)
    np.testing.assert_allclose(pixels(item.adversarial), 255 * adversarial.numpy(), atol=0.51)
    change = 127.5 + 255 * item.magnification * (adversarial - original).numpy()
    np.testing.assert_allclose(pixels(item.perturbation), change.clip(0, 255), atol=0.51)
    assert torch.linalg.vector_norm(adversarial - original).item() == pytest.approx(item.distance)


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (2, 2), (5, 5), (12, 12)])
def test_a_few_items_are_evenly_chosen_with_both_ends(
    run: LabeledRun, count: int, expected: int
) -> None:
    everything, shown = gallery(run).items, gallery(run, count).items
    assert len(shown) == expected
    ranks = [[one.index for one in everything].index(item.index) for item in shown]
    assert ranks == sorted(ranks)
    if count > 1:
        assert (ranks[0], ranks[-1]) == (0, 11)
        assert max(np.diff(ranks)) - min(np.diff(ranks)) <= 1


def test_the_adversarials_of_one_attack_are_shown_on_demand(run: LabeledRun) -> None:
    shown = gallery(run, attack="deepfool").items
    assert {item.attack for item in shown} == {"deepfool"}
    with pytest.raises(InputError, match="unknown attack"):
        gallery(run, attack="depfool")


def test_another_norm_orders_by_its_distances(run: LabeledRun) -> None:
    shown = gallery(run, norm="linf")
    assert shown.norm == "linf"
    expected = sorted(values_of(closest_records(run.run.records, "linf"), "linf").tolist())
    assert [item.distance for item in shown.items] == expected


def test_of_targeted_attacks_each_pair_may_be_shown(tmp_path: Path) -> None:
    evaluate(
        "zoo:mnist-cnn", "mnist-sample[:3]", "ddn(steps=8)", out=tmp_path / "run",
        targets="random:2", batch_size=2,
    )  # fmt: skip
    run = load_runs([tmp_path / "run"])[0]
    shown = gallery(run)
    assert shown.of == len(shown.items) == int(values_of(run.run.records, "success").sum())
    for item in shown.items:
        assert item.adversarial_prediction == item.target
        kept = run.run.adversarials("ddn(steps=8)", item.target, indices=[item.index])
        np.testing.assert_allclose(
            pixels(item.adversarial), 255 * kept.adversarials[0, 0].numpy(), atol=0.51
        )


def test_a_run_that_has_kept_nothing_says_why(tmp_path: Path) -> None:
    evaluate(
        "zoo:mnist-cnn", "mnist-sample[:2]", "deepfool", out=tmp_path / "run",
        save_adversarials=False,
    )  # fmt: skip
    shown = gallery(load_runs([tmp_path / "run"])[0])
    assert (shown.items, shown.of) == ((), 2)
    assert "has kept no adversarials" in str(shown.remark)


def test_a_run_in_memory_has_no_images() -> None:
    run = label_runs([evaluate("zoo:mnist-cnn", "mnist-sample[:2]", "fgsm(epsilon=3.0)")])[0]
    assert gallery(run).items == ()
    assert gallery(run).remark


def test_samples_that_are_no_images_are_not_shown(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs, labels = torch.rand(4, 6), torch.tensor([0, 1, 0, 1])
    evaluate(torch.nn.Linear(6, 2).eval(), (inputs, labels), "ddn(steps=8)", out=tmp_path / "run")
    shown = gallery(load_runs([tmp_path / "run"])[0])
    assert shown.items == ()
    assert "of shape [6], are no images" in str(shown.remark)


def test_without_bounds_black_and_white_are_the_extremes_shown(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2)).eval()
    inputs = 7 * torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    data, out = (inputs, model(inputs).argmax(1)), tmp_path / "run"
    evaluate(model, data, "deepfool", out=out, bounds=(0 * inputs[0] - torch.inf, torch.inf))
    shown = gallery(load_runs([out])[0])
    assert len(shown.items) == 4
    assert "black and white are the lowest and highest value shown" in str(shown.remark)
    every = np.stack(
        [pixels(one) for item in shown.items for one in (item.original, item.adversarial)]
    )
    assert (every.min(), every.max()) == (0, 255)
    ranks = inputs[[item.index for item in shown.items]].flatten().argsort()
    originals = np.stack([pixels(item.original) for item in shown.items]).ravel()
    assert (np.diff(originals[ranks]) >= 0).all()


def nothing(run: LabeledRun) -> Gallery:
    shown = gallery(run)
    assert (shown.items, shown.of) == ((), 0)
    return shown


def test_without_a_success_there_is_nothing_to_show() -> None:
    failed = nothing(attack_run({"ddn": [INF, 0.0]}))
    assert failed.remark is not None
    assert "No attack found an adversarial" in failed.remark
    assert nothing(attack_run({"ddn": []})).remark == "The run has no records."


def test_large_images_are_fewer(run: LabeledRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minnorm.report.facts.gallery._MOST_ENTRIES", 5 * 3 * 28 * 28)
    shown = gallery(run, 10)
    assert len(shown.items) == 5
    assert shown.remark == "Only 5 are shown, so that the file does not become too large."
    assert gallery(run, 5).remark is None
