"""The configuration of a run: what counts as a difference, and how it is described."""

import math
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from evaluation.small_runs import configuration
from minnorm.evaluation.store.configuration import AttackEntry, Configuration, OpenConfiguration

ONLY_MORE = "Attacks can be added to a run, but not removed or changed"


def entry(name: str, spec: str | None = None, code: str = "") -> AttackEntry:
    return AttackEntry(name=name, spec=name if spec is None else spec, norm="l2", code=code)


def test_a_configuration_does_not_differ_from_itself() -> None:
    assert configuration().differences(configuration()) == []


def test_a_configuration_is_frozen_and_knows_all_its_fields() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        configuration().seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        configuration(sede=1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seed": 1}, "seed: 0 there, 1 now"),
        ({"batch_size": 6}, "batch_size: 5 there, 6 now"),
        ({"acceleration": "plain"}, "acceleration: off there, plain now"),
        ({"targets": "all"}, "targets: None there, all now"),
        ({"indices": (0, 11, 1)}, "indices: [0, 12, 1] there, [0, 11, 1] now"),
        ({"bounds": (0.0, 2.0)}, "bounds: [0.0, 1.0] there, [0.0, 2.0] now"),
        ({"save_adversarials": False}, "save_adversarials: True there, False now"),
        ({"dtype": "torch.float64"}, "dtype: torch.float32 there, torch.float64 now"),
        ({"device": "cuda"}, "device: cpu there, cuda now"),
        ({"model": "zoo:other"}, "model: zoo:it there, zoo:other now"),
        ({"data": "cifar10"}, "data: mnist there, cifar10 now"),
        (
            {"model_fingerprint": "0" * 64},
            "model_fingerprint: the weights or the code of the model differ",
        ),
        ({"data_fingerprint": "0" * 64}, "data_fingerprint: the samples differ"),
        ({"attacks": (entry("fmn"),)}, f"attacks: ddn there, fmn now. {ONLY_MORE}"),
        ({"attacks": (entry("a", "ddn"),)}, f"attacks: ddn there, a = ddn now. {ONLY_MORE}"),
        ({"attacks": (entry("ddn", "fmn"),)}, f"attacks: ddn there, ddn = fmn now. {ONLY_MORE}"),
        (
            {"attacks": (entry("a"), entry("ddn", code="1"))},
            "attacks: the code of ddn differs, or what it uses, or the version of Python",
        ),
        ({"model": "m" * 200}, f"model: zoo:it there, {'m' * 200} now"),
        ({"model": "m" * 201}, f"model: zoo:it there, {'m' * 200} ... now"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_a_difference_is_described(changes: dict[str, Any], expected: str) -> None:
    assert configuration().differences(configuration(**changes)) == [expected]


def test_all_differences_are_described_in_the_order_of_the_fields() -> None:
    found = configuration().differences(configuration(batch_size=6, seed=1))
    assert found == ["seed: 0 there, 1 now", "batch_size: 5 there, 6 now"]


def test_attacks_may_come_in_another_order_and_more_may_be_added_but_none_removed() -> None:
    one, other, more = entry("ddn"), entry("fmn"), entry("fab")
    two = configuration(attacks=(one, other))
    for attacks in ((other, one), (more, one, other), (other, more, one)):
        assert two.differences(configuration(attacks=attacks)) == []
    expected = f"attacks: ddn, fmn there, fmn, fab now. {ONLY_MORE}"
    assert two.differences(configuration(attacks=(other, more))) == [expected]


def test_attacks_that_are_added_come_last() -> None:
    one, other, more = entry("ddn"), entry("fmn"), entry("fab")
    now = configuration(attacks=(more, other, one), seed=3)
    ordered = now.after(configuration(attacks=(one, other)))
    assert ordered == configuration(attacks=(one, other, more), seed=3)
    assert now.after(None) == now


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        # The tolerance is 1 % of the largest logit: 0.02 here.
        ((1.0, -2.0), (1.0, -2.0), True),
        ((1.0, -2.0), (1.0199, -2.0), True),
        ((1.0, -2.0), (0.9801, -2.0), True),
        ((1.0, -2.0), (1.0201, -2.0), False),
        ((1.0, -2.0), (0.9799, -2.0), False),
        ((1.0, -2.0), (1.0, -2.0199), True),
        ((1.0, -2.0), (1.0, -2.0201), False),
        ((1.0, -2.0), (1.0, 2.0), False),
        ((1.0, 2.0), (1.0201, 2.0), False),
        ((math.nan, -2.0, math.inf), (math.nan, -2.0, math.inf), True),
        ((math.nan, -2.0, math.inf), (math.nan, -3.0, math.inf), False),
        ((math.nan, -2.0), (1.0, -2.0), False),
        ((-math.inf, -2.0), (math.inf, -2.0), False),
        ((1.0, -2.0), (1.03, -200.0), False),  # of the run on disk, whatever the other logits are
        ((1.0, -2.0, -1e9), (1.0201, -2.0, -1e9), False),  # a masked class hides no difference
        ((1.0, -2.0, -1e9), (1.0199, -2.0, -1.001e9), True),
        ((1.0, -2.0, -1e9), (1.0, -2.0, -1.02e9), False),
        ((1.0, -2.0, -sys.float_info.max), (1.0201, -2.0, -sys.float_info.max), False),
        ((0.0, 0.0), (0.0, 0.0), True),
        ((0.0, 0.0), (1e-12, 0.0), True),
        ((0.0, 0.0), (2e-12, 0.0), False),
        ((2.0,), (2.0, 2.0), False),
        ((2.0, 2.0), (2.0,), False),
        ((), (), True),
    ],
)
def test_logits_differ_only_beyond_rounding(
    before: tuple[float, ...], after: tuple[float, ...], same: bool
) -> None:
    found = configuration(model_answers=before).differences(configuration(model_answers=after))
    expected = [] if same else ["model_answers: the model's logits of the first samples differ"]
    assert found == expected


def test_other_numbers_have_no_tolerance() -> None:
    near = configuration(bounds=(0.0, 1.0 + 1e-9))
    assert configuration().differences(near) == ["bounds: [0.0, 1.0] there, [0.0, 1.000000001] now"]


def open_configuration(**changes: Any) -> OpenConfiguration:
    known = configuration().model_dump()
    del known["batch_size"], known["acceleration"]
    return OpenConfiguration.model_validate({**known, **changes})


def test_what_is_open_is_not_compared_but_what_is_known_is() -> None:
    assert configuration().differences(open_configuration()) == []
    assert configuration().differences(open_configuration(batch_size=5)) == []
    found = configuration().differences(open_configuration(batch_size=6, seed=1))
    assert found == ["seed: 0 there, 1 now", "batch_size: 5 there, 6 now"]
    found = configuration().differences(open_configuration(acceleration="plain"))
    assert found == ["acceleration: off there, plain now"]
    # No targets are a value, and not open.
    found = configuration(targets="all").differences(open_configuration())
    assert found == ["targets: all there, None now"]


def test_deciding_what_was_open_completes_a_configuration() -> None:
    decided = open_configuration(seed=3, batch_size=7).decide(5, "off")
    assert decided == configuration(seed=3)
    assert type(decided) is Configuration


def test_a_complete_configuration_needs_batch_size_and_acceleration() -> None:
    for name in ("batch_size", "acceleration"):
        with pytest.raises(ValidationError, match=name):
            configuration(**{name: None})


@pytest.mark.parametrize(
    ("before", "after", "same"), [("a", "a", True), ("a", "b", False), (None, "a", True)]
)
def test_the_code_of_the_model_is_compared_if_the_run_knows_it(
    before: str | None, after: str, same: bool
) -> None:
    found = configuration(model_code=before).differences(configuration(model_code=after))
    assert [line.partition(":")[0] for line in found] == ([] if same else ["model_code"])
