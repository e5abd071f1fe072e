"""Bounds of each feature and masks in an evaluation: attacks, judge, records, manifest, exports."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from attacks.networks import Linear, problem
from minnorm.attacks import AttackResult, Model, ddn
from minnorm.boxes import Bounds
from minnorm.data import as_data, from_arrays, load_data
from minnorm.data.summary import description
from minnorm.errors import InputError, RunConflictError
from minnorm.evaluation import WORST_CASE, Evaluation, accuracy_at, evaluate, load_run
from minnorm.evaluation.exports.exports import export_adversarials
from minnorm.report import compare, label_runs
from minnorm.report.page.provenance import provenance

MASK = np.arange(16).reshape(4, 4) % 3 != 0
LOW, HIGH = np.full((4, 4), -0.5), np.linspace(1, 2, 16).reshape(4, 4)
ATTACK = "ddn(steps=15)"


def samples() -> tuple[Linear, Tensor, Tensor]:
    return problem((4, 4), batch=7)


def run(out: Path | None = None, **changes: Any) -> Evaluation:
    model, inputs, labels = samples()
    given = {"attacks": ATTACK, "batch_size": 3, "accelerate": "off", **changes}
    data = given.pop("data", (inputs, labels))
    return evaluate(model, data, out=out, **given)


def restrictions(of: Evaluation) -> dict[str, Any] | None:
    entry: dict[str, Any] | None = of.manifest["configuration"]["restrictions"]
    return entry


class SixFeatures(nn.Module):
    """A linear classifier that ignores all features after the sixth."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -1.0] * 3, dtype=dtype) / 6**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        score = inputs[:, :6] @ self.weight
        return torch.stack([-score, score], dim=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_large_feature_that_does_not_change_leaves_the_accuracy_as_it_is(
    dtype: torch.dtype,
) -> None:
    model = SixFeatures(dtype).eval()
    drawn = torch.rand(80, 6, generator=torch.Generator().manual_seed(0), dtype=dtype)
    inputs = torch.cat([drawn, torch.full((80, 1), 1.7e9, dtype=dtype)], dim=1)
    high = torch.tensor([1.0] * 6 + [1.8e9])
    found = evaluate(
        model,
        (inputs, model(inputs).argmax(1)),
        "normal_pursuit(budget=30)",
        bounds=(torch.zeros(7), high),
        mask=torch.arange(7) < 6,
        accelerate="off",
    )
    margins = (drawn @ model.weight).abs()
    for radius in (0.05, 0.1, 0.2):
        expected = float((margins > radius).double().mean())
        assert accuracy_at(found.records, radius).value == pytest.approx(expected, abs=1 / 80)


@pytest.mark.parametrize("bounds", [None, (LOW, HIGH), (torch.from_numpy(LOW), 2.0)])
def test_the_records_are_those_of_the_attack(tmp_path: Path, bounds: Any) -> None:
    model, inputs, labels = samples()
    mask = torch.from_numpy(MASK)
    box: Bounds = (0.0, 1.0)
    if bounds is not None:
        low, high = (torch.as_tensor(bound) for bound in bounds)
        box = low, high
    expected = ddn(model, inputs, labels, steps=15, bounds=box, mask=mask)
    found = run(tmp_path / "run", bounds=bounds, mask=MASK)
    assert found.records.column("success").to_pylist() == expected.success.tolist()
    distances = torch.tensor(found.records.column("l2").to_pylist())
    assert torch.allclose(distances, expected.distances)
    kept = found.adversarials(WORST_CASE)
    assert torch.equal(kept.adversarials[:, ~mask], inputs[:, ~mask])
    assert torch.allclose(kept.adversarials, expected.adversarials)


def test_without_bounds_and_mask_nothing_is_recorded() -> None:
    plain = run()
    assert restrictions(plain) is None
    assert plain.manifest["configuration"]["bounds"] == [0, 1]
    same = run(bounds=(0, 1))
    assert plain.records.column("l2").equals(same.records.column("l2"))


def test_the_manifest_records_range_counts_and_checksums() -> None:
    both = run(bounds=(LOW, HIGH), mask=MASK)
    assert both.manifest["configuration"]["bounds"] == [-0.5, 2]
    entry = restrictions(both)
    assert entry is not None
    assert (entry["features"], entry["free"]) == (16, int(MASK.sum()))
    masked = restrictions(run(mask=MASK))
    assert masked is not None
    assert (masked["bounds"], masked["mask"]) == (None, entry["mask"])
    # Written otherwise, the same.
    assert restrictions(run(mask=torch.from_numpy(MASK))) == masked
    rows = run(bounds=(LOW[:, :1], 2.0))
    assert restrictions(rows) == restrictions(run(bounds=(LOW, np.full((4, 4), 2.0))))


@pytest.mark.parametrize("change", [{"mask": None}, {"mask": ~MASK}, {"bounds": (LOW, HIGH)}])
def test_a_run_with_other_restrictions_does_not_continue(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    run(tmp_path / "run", mask=MASK)
    run(tmp_path / "run", mask=MASK)
    with pytest.raises(RunConflictError, match="restrictions: 10 of 16 features may change"):
        run(tmp_path / "run", **{"mask": MASK, **change})


def test_a_mask_that_is_true_for_all_features_is_none(tmp_path: Path) -> None:
    first = run(tmp_path / "run")
    for mask in (True, np.ones((1, 4), bool), torch.ones(4, 4, dtype=torch.bool)):
        assert run(tmp_path / "run", mask=mask).manifest["run"] == first.manifest["run"]


def test_data_carry_their_own_bounds_and_mask(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    _, inputs, labels = samples()
    data = from_arrays("mine", inputs, labels, bounds=(LOW, HIGH), mask=MASK)
    own = run(data=data)
    assert restrictions(own) == restrictions(run(bounds=(LOW, HIGH), mask=MASK))
    assert "mine: its own bounds and mask limit what the attacks change" in caplog.text
    caplog.clear()
    others = run(data=data[:5], bounds=(-1, 3), mask=True)
    assert others.manifest["configuration"]["bounds"] == [-1, 3]
    assert restrictions(others) is None
    assert "its own" not in caplog.text


def cheating(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Ignore the bounds, and change those that it is given."""
    found = ddn(model, inputs, labels, targeted=targeted, generator=generator, steps=15)
    for bound in bounds:
        if isinstance(bound, Tensor):
            bound.fill_(0.5)
    return found


def test_the_judge_accepts_no_change_of_a_masked_feature() -> None:
    assert all(run(attacks=cheating).records.column("success").to_pylist())
    found = run(attacks=cheating, mask=MASK).records
    clean = np.array(found.column("clean_prediction")) != np.array(found.column("label"))
    assert np.array(found.column("success")).tolist() == clean.tolist()
    honest = run(attacks={"first": cheating, "second": partial(ddn, steps=15)}, mask=MASK).records
    assert any(honest.column("success").to_pylist()[7:])


def test_gray_distances_count_features_that_can_change() -> None:
    _, inputs, _ = samples()
    gray = run(mask=MASK).records.column("gray_l2").to_pylist()
    expected = ((inputs - 0.5) * torch.from_numpy(MASK)).flatten(1).norm(dim=1)
    assert gray == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize("high", [np.inf, np.where(np.eye(4) > 0, np.inf, 1.0)])
def test_bounds_may_be_infinite(tmp_path: Path, high: Any) -> None:
    bounds = -np.inf, high
    model, inputs, labels = samples()
    found = run(tmp_path / "run", bounds=bounds)
    box: Bounds = (-np.inf, high if high is np.inf else torch.from_numpy(high))
    expected = ddn(model, inputs, labels, steps=15, bounds=box)
    assert found.records.column("l2").to_pylist() == pytest.approx(expected.distances.tolist())
    assert found.records.column("gray_l2").to_pylist() == [np.inf] * 7
    assert load_run(tmp_path / "run").manifest == found.manifest
    again = run(tmp_path / "run", bounds=bounds)
    assert again.manifest["run"] == found.manifest["run"]
    with pytest.raises(InputError, match=r"export the adversarials as FILE\.npz"):
        export_adversarials(found, tmp_path / "pictures", "png", model=model)


def test_a_masked_feature_without_bounds_leaves_the_gray_image() -> None:
    high = np.where(MASK, 1.0, np.inf)
    gray = run(bounds=(np.zeros((4, 4)), high), mask=MASK).records.column("gray_l2")
    assert gray.equals(run(mask=MASK).records.column("gray_l2"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": np.ones(5, bool)}, r"the mask has shape \[5\]; .* a sample, of shape \[4, 4\]"),
        ({"mask": np.ones((7, 4, 4), bool)}, r"the mask has shape \[7, 4, 4\]"),
        ({"mask": np.ones((4, 4))}, "the mask is of dtype torch.float64; expected a boolean"),
        ({"bounds": (LOW, np.nan * HIGH)}, "expected low <= high"),
        ({"bounds": (HIGH, LOW)}, r"the bounds at \[0, 0\] are 1 and -0.5: expected low <= high"),
        ({"bounds": (LOW + 0.7, HIGH)}, "samples 0 to 6: inputs are outside the bounds in"),
    ],
)
def test_bad_restrictions_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(**change)


def test_pictures_need_common_bounds(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    images = (torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 255).byte()
    labels = model(images / 255).argmax(1)
    mask = np.arange(8) < 4
    arguments: dict[str, Any] = {"attacks": ATTACK, "accelerate": "off", "batch_size": 4}
    plain = evaluate(model, (images, labels), out=tmp_path / "a", mask=mask, **arguments)
    exported = export_adversarials(plain, tmp_path / "pictures", "png", model=model)
    assert len(exported.pictures) == 4
    assert any(picture.file for picture in exported.pictures)
    kept = plain.adversarials(WORST_CASE)
    assert torch.equal(kept.adversarials[..., 4:], images[..., 4:] / 255)
    own = (np.zeros(8), np.ones(8))
    tensors = evaluate(model, (images / 255, labels), out=tmp_path / "b", bounds=own, **arguments)
    with pytest.raises(InputError, match=r"bounds of their own.*: export the adversarials as FILE"):
        export_adversarials(tensors, tmp_path / "others", "png", model=model)
    with pytest.raises(InputError, match="unclear how to scale them to bounds of each feature"):
        evaluate(model, (images, labels), bounds=own, **arguments)


def test_a_report_names_restrictions_and_how_to_repeat_them() -> None:
    [both, masked] = label_runs([run(bounds=(LOW, HIGH), mask=MASK), run(mask=MASK)])
    found = provenance(both)
    assert "10 of 16 features may change, mask" in dict(found.facts[0].entries)["restrictions"]
    assert "--bounds FILE.npz --mask FILE.npy" in found.command
    assert "A run keeps only checksums of a mask" in found.remark
    assert "--mask FILE.npy" in provenance(masked).command
    assert "--bounds" not in provenance(masked).command


def test_runs_with_other_restrictions_are_not_compared() -> None:
    one, other = run(mask=MASK), run()
    with pytest.raises(InputError, match=r"may change, or their bounds: 10 of 16 .* and none"):
        compare(one, other)


def test_a_file_of_data_holds_bounds_and_mask(tmp_path: Path) -> None:
    _, inputs, labels = samples()
    path = tmp_path / "own.npz"
    arrays: dict[str, Any] = {"images": inputs.numpy(), "labels": labels.numpy()}
    np.savez(path, **arrays, low=LOW, high=HIGH, mask=MASK)
    found = run(data=str(path))
    assert restrictions(found) == restrictions(run(bounds=(LOW, HIGH), mask=MASK))
    data = load_data(f"{path}[:3]")
    assert data.mask is not None
    assert data.mask.tolist() == MASK.tolist()
    np.savez(path, **arrays, low=LOW)
    with pytest.raises(InputError, match="only one of 'low' and 'high'"):
        load_data(str(path))
    np.savez(path, **arrays, mask=MASK[:2, :3])
    with pytest.raises(InputError, match=r"own.npz: the mask has shape \[2, 3\]"):
        load_data(str(path))


def test_a_mapping_of_data_holds_bounds_and_mask(tmp_path: Path) -> None:
    _, inputs, labels = samples()
    arrays: dict[str, Any] = {"images": inputs, "labels": labels, "low": LOW, "high": HIGH}
    both = run(bounds=(LOW, HIGH), mask=MASK)
    assert restrictions(run(data={**arrays, "mask": MASK.tolist()})) == restrictions(both)
    np.savez(tmp_path / "own.npz", **arrays, mask=MASK)
    with np.load(tmp_path / "own.npz") as archive:
        found = as_data(archive)
    assert restrictions(run(data=found)) == restrictions(both)
    shown = description(found)
    assert (shown["bounds"], shown["may change"]) == ("-0.5 to 2", "10 of 16 features")
    with pytest.raises(InputError, match="data holds only one of 'low' and 'high'"):
        as_data({"images": inputs, "labels": labels, "high": HIGH})


def test_older_manifests_have_no_restrictions(tmp_path: Path) -> None:
    run(tmp_path / "run")
    path = tmp_path / "run" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["configuration"]["restrictions"]
    path.write_text(json.dumps(manifest))
    assert restrictions(run(tmp_path / "run")) is None
