"""Doubts about NaN: they count the samples of the whole run, each once."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, problem
from evaluation.record_tables import INF, table
from minnorm.evaluation import Records, evaluate, load_run
from minnorm.evaluation.nan_doubts import doubts_about_nan


def predicted(records: Records, clean: list[int], adversarial: list[int]) -> Records:
    """Return the records with other predictions."""
    columns = {name: records.column(name) for name in records.schema.names}
    changed = {"clean_prediction": pa.array(clean), "adversarial_prediction": pa.array(adversarial)}
    return pa.table(columns | changed, schema=records.schema)


def test_a_run_without_nan_has_no_warning() -> None:
    assert doubts_about_nan(table([0.0, 1.0, INF])) == ()
    assert doubts_about_nan(table([])) == ()


def test_samples_without_a_class_are_counted_once_over_attacks_and_targets() -> None:
    parts = [
        predicted(
            table([0.0, 0.0, 1.0], attack=attack, targets=[target] * 3), [-1, -1, 0], [-1, 2, 1]
        )
        for attack in ("a", "b")
        for target in (1, 2)
    ]
    [doubt] = doubts_about_nan(pa.concat_tables(parts))
    assert doubt.kind == "nan"
    assert doubt.text.startswith("The model's logits are NaN for 2 of 3 samples. NaN is no class")


def test_points_without_a_class_are_counted_where_the_sample_has_one() -> None:
    records = predicted(table([0.0, INF, INF, 1.0]), [-1, 0, 0, 0], [-1, -1, 0, 1])
    first, second = doubts_about_nan(records)
    assert "for 1 of 4 samples" in first.text
    assert second.text.startswith(
        "The model's logits are NaN at points that attacks returned, for 1 of"
    )
    assert "count as failures, so the model may look more robust than it is" in second.text


class Overflows(Linear):
    """A classifier whose logits are NaN where the first entry is large."""

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = super().forward(inputs)
        return torch.where(inputs[:, :1] > 0.99, torch.nan, logits)


@pytest.fixture
def samples() -> tuple[Overflows, Tensor, Tensor]:
    """Return 30 samples, of which the model has no class for 3, none among the first 8."""
    plain, inputs, labels = problem((6,), batch=30, classes=4, network=Linear)
    model = Overflows(6, 4).eval()
    model.load_state_dict(plain.state_dict())
    inputs[:, 0] *= 0.9
    inputs[[9, 17, 29], 0] = 1.0
    return model, inputs, labels


@pytest.mark.parametrize("out", [None, "run"])
def test_nan_beyond_the_first_samples_is_counted_also_when_a_run_is_resumed_and_loaded(
    samples: tuple[Overflows, Tensor, Tensor], out: str | None, tmp_path: Path
) -> None:
    model, inputs, labels = samples
    folder = None if out is None else tmp_path / out
    arguments: dict[str, Any] = {
        "attacks": ["ddn(steps=2)", "fgsm(epsilon=0.01)"],
        "batch_size": 7,
        "accelerate": "off",
        "out": folder,
    }
    run = evaluate(model, (inputs, labels), **arguments)
    expected = "The model's logits are NaN for 3 of 30 samples."
    assert [warning[: len(expected)] for warning in run.warnings] == [expected]
    if folder is not None:
        assert load_run(folder).doubts == run.doubts
        (folder / "records" / "000001-00.parquet").unlink()
        assert evaluate(model, (inputs, labels), **arguments).warnings == run.warnings


def test_nan_among_the_first_samples_is_told_once(
    samples: tuple[Overflows, Tensor, Tensor],
) -> None:
    model, inputs, labels = samples
    inputs[2, 0] = 1.0
    run = evaluate(model, (inputs, labels), "ddn(steps=2)", accelerate="off")
    assert len(run.warnings) == 1
    assert "for 4 of 30 samples" in run.warnings[0]
