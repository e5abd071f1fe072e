"""Doubts about what attacks returned: points with NaN, and successes that are none."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from attacks.networks import problem
from evaluation.judging import forged
from evaluation.record_tables import INF, table
from minnorm.attacks import AttackResult, Model, ddn
from minnorm.evaluation import Records, evaluate, load_run
from minnorm.evaluation.attack_doubts import doubts_about_attacks
from minnorm.report import label_runs
from minnorm.report.findings.findings import findings


def changed(records: Records, **values: list[Any]) -> Records:
    """Return the records with other values in some columns."""
    for name, column in values.items():
        place = records.schema.get_field_index(name)
        field = records.schema.field(place)
        records = records.set_column(place, field, pa.array(column, field.type))
    return records


@pytest.mark.parametrize(("wrong", "is_found"), [(0, False), (1, False), (2, True), (40, True)])
def test_successes_that_are_none_are_a_doubt(wrong: int, is_found: bool) -> None:
    reported = [True] * (60 + wrong) + [False] * (40 - wrong)
    records = changed(table([1.0] * 60 + [INF] * 40, attack="mine"), reported=reported)
    found = doubts_about_attacks(pa.concat_tables([records, table([1.0] * 100, attack="other")]))
    assert [doubt.kind for doubt in found] == ["wrong-successes"] * is_found
    if is_found:
        assert found[0].text.startswith(
            f"mine reports a success for {60 + wrong} of 100 samples, but {wrong} of these points "
            "are not adversarial"
        )


def test_few_wrong_flags_of_many_are_errors_of_rounding() -> None:
    records = table([1.0] * 990 + [INF] * 10)
    assert doubts_about_attacks(changed(records, reported=[True] * 999 + [False])) == ()


def test_flags_that_a_random_model_undoes_are_no_doubt() -> None:
    shares = {"clean_share": [1.0] * 40, "adversarial_share": [0.4] * 40}
    records = changed(table([INF] * 40), reported=[True] * 40, **shares)
    assert doubts_about_attacks(records) == ()


def test_points_with_nan_are_counted_for_each_attack_and_target() -> None:
    points = {"adversarial_prediction": [-2, -2, 1]}
    plain = changed(table([INF, INF, 1.0], attack="a"), reported=[True] * 3, **points)
    (doubt,) = doubts_about_attacks(plain)
    assert doubt.kind == "invalid-points"
    assert doubt.text.startswith("a returned points with NaN or infinite values, for 2 samples.")
    (doubt,) = doubts_about_attacks(
        changed(table([INF, INF, 1.0], targets=[1] * 3, attack="b"), **points)
    )
    assert "for 2 pairs of a sample and a target." in doubt.text
    assert doubts_about_attacks(table([])) == ()


def divides_by_zero(model: Model, inputs: Tensor, labels: Tensor, /, **given: Any) -> AttackResult:
    """Return NaN for the first samples of the batch, and call them successes."""
    found = ddn(model, inputs, labels, steps=2, **given)
    points = found.adversarials.clone()
    points[:3] = torch.nan
    return forged(points, found.distances, torch.ones(len(points), dtype=torch.bool))


def test_an_attack_that_returns_nan_is_told_from_a_model_that_does(tmp_path: Path) -> None:
    model, inputs, labels = problem((4,), batch=30)
    run = evaluate(
        model, (inputs, labels), divides_by_zero, batch_size=10, accelerate="off", out=tmp_path
    )
    (doubt,) = run.doubts
    assert doubt.kind == "invalid-points"
    assert "divides_by_zero returned points with NaN or infinite values, for 9" in doubt.text
    assert load_run(tmp_path).doubts == run.doubts
    assert "invalid-points" in {one.kind for one in findings(label_runs([run])[0])}


class RandomNear(nn.Module):
    """A classifier whose logits are random where two of them are close."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(inputs)
        two = logits.topk(2, dim=1).values
        near = (two[:, :1] - two[:, 1:] < 0.05 * logits.detach().std()).float()
        return logits + near * torch.randn_like(logits)


def test_a_model_that_is_random_near_its_boundary_is_a_doubt() -> None:
    model, inputs, labels = problem((6,), batch=60)
    two = model(inputs).topk(2, dim=1).values
    clear = two[:, 0] - two[:, 1] > 0.1 * model(inputs).std()
    data = inputs[clear], labels[clear]
    assert evaluate(model, data, "ddn(steps=30)", accelerate="off").doubts == ()
    run = evaluate(RandomNear(model).eval(), data, "ddn(steps=30)", accelerate="off")
    assert [doubt.kind for doubt in run.doubts] == ["wrong-successes"]
