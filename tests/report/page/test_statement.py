"""The statement: its sentences are true and complete, whatever the run."""

from dataclasses import replace

import pyarrow as pa
import pytest

from evaluation.record_tables import INF
from minnorm.doubts import Doubt
from minnorm.report.page.statement import curves_show, statement
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import norm_name
from report.made_runs import attack_run, with_column


def said(run: LabeledRun, *epsilons: float) -> str:
    sentences = statement(run, epsilons)
    for sentence in sentences:
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert "nan" not in sentence
        assert "inf" not in sentence.replace("confidence", "").replace("linf", "")
    return " ".join(sentences)


def test_the_numbers_are_those_of_the_run() -> None:
    attacks = {"ddn": [0.0, 1.0, 2.0, 3.0] * 5, "fmn": [0.0, 2.0, 1.5, 4.0] * 5}
    text = said(attack_run(attacks, costs={"ddn": 100.0, "fmn": 20.0}), 1.0, 8 / 255)
    for part in (
        "The model it was attacked on 20 samples of mnist.",
        "classifies 75.0 % of the samples correctly (95 % confidence interval: 53.1 to 88.8 %)",
        "75.0 % (53.1 to 88.8 %) within 8/255 and 50.0 % (29.9 to 70.1 %) within 1.",
        "A stronger attack may lower these numbers.",
        "Half of the correctly classified samples can be made wrong by a change of L2 norm 1.5 or "
        "less",
        "The strongest of 2 attacks was ddn: on 66.7 % of the correctly classified samples, no "
        "other came closer.",
        "All attacks together took 120 gradients and 122 forward passes per sample, 10.0 seconds "
        "in total.",
    ):
        assert part in text


def test_changes_are_given_in_gray_levels() -> None:
    # The table of the tests has l1 = 4 l2, l0 = 10 l2 and linf = l2 / 2.
    text = said(attack_run({"ddn": [0.2] * 9}))
    assert (
        "changes 2 values of an input, by 40 % of the range of inputs on average and by 10 % at"
        in text
    )
    wide = said(attack_run({"ddn": [51.0] * 9}, bounds=(0.0, 255.0)))
    assert "that is 0.4 and 26 of 255 gray levels." in wide
    endless = said(attack_run({"ddn": [51.0] * 9}, bounds=(0.0, INF)))
    assert "changes 510 values of an input, by 0.4 on average and by 26 at most." in endless
    assert "gray levels" not in endless


def test_one_of_everything_is_singular() -> None:
    text = said(attack_run({"ddn": [1.0]}, costs={"ddn": 1.0}), 2.0)
    assert "on 1 sample of mnist" in text
    assert "A stronger attack may lower this number." in text
    assert "The attack was ddn. It took 1 gradient and 2 forward passes per sample" in text
    run = attack_run({"square": [1.0]}, costs={"square": 0.0})
    assert "It took 1 query per sample" in said(run, 2.0)
    run = attack_run({"ddn": [1.0]}, costs={"ddn": 0.0})  # of a model without gradients
    assert "It took 0 gradients and 1 forward pass per sample" in said(run, 2.0)


def test_it_is_said_that_no_gradients_were_used() -> None:
    costs = {"square": 0.0, "hop_skip_jump": 0.0}
    assert "Only" not in said(attack_run({"square": [1.0], "ddn": [1.0]}, costs=costs))
    scores = said(attack_run({"square": [1.0], "hop_skip_jump": [1.0]}, costs=costs))
    assert "Only the scores of the model were used, and no gradients." in scores
    decisions = said(attack_run({"hop_skip_jump": [1.0]}, costs=costs))
    assert "Only predicted classes were used. Where a model has scores or gradients" in decisions


def test_of_few_samples_the_median_has_no_interval() -> None:
    text = said(attack_run({"ddn": [1.0, 2.0, 3.0]}))
    assert "L2 norm 2 or less." in text


def test_without_a_success_there_is_none_to_speak_of() -> None:
    text = said(attack_run({"ddn": [INF] * 8 + [0.0]}), 1.0)
    assert "No attack found an adversarial of any of the correctly classified samples." in text
    assert "Half of" not in text
    assert "strongest" not in text


def test_failures_of_more_than_half_have_no_median() -> None:
    text = said(attack_run({"ddn": [INF] * 6 + [1.0] * 2}))
    assert "On more than half of the correctly classified samples, no attack found an" in text


def test_a_model_that_is_always_wrong_leaves_nothing_to_attack() -> None:
    text = said(attack_run({"ddn": [0.0] * 8, "fmn": [0.0] * 8}), 1.0)
    assert "classifies 0.0 % of the samples correctly" in text
    assert "So there is nothing that an attack could change." in text


def test_beyond_the_radius_of_the_attacks_the_accuracy_is_unknown() -> None:
    run = attack_run({"pgd": [0.1, 0.2, INF, INF, INF]}, limits={"pgd": 0.25})
    text = said(run, 0.15, 0.5)
    assert "80.0 % (37.6 to 96.4 %) within 0.15. A stronger" in text
    assert "Within an L2 distance of 0.5 the accuracy is unknown" in text
    assert "within an L2 distance of 0.25, and none searched farther." in text
    half = said(attack_run({"pgd": [0.1, INF]}, limits={"pgd": 0.25}))
    assert "On half of the correctly classified samples, no attack found" in half


def test_targeted_runs_speak_of_pairs() -> None:
    run = attack_run({"ddn": [1.0, 2.0, INF, 3.0]}, targets=[1, 2, 3, 4])
    text = said(run, 1.5)
    assert "each had to make the model predict a given wrong class" in text
    assert "in 4 pairs of a sample and a target." in text
    assert "this share of the pairs of a sample and a target withstand:" in text
    assert "correctly classified pairs can be moved to their target" in text
    assert "per pair" in text


def test_curves_show_what_the_goal_of_the_attacks_was() -> None:
    aimed = attack_run({"ddn": [1.0, 2.0]}, targets=[1, 2])
    free, empty = attack_run({"ddn": [1.0]}), attack_run({"ddn": []})
    (plain,) = curves_show([free, empty])
    assert plain.startswith("The share of samples that are still classified correctly, against")
    assert curves_show([empty]) == [plain]
    (pairs,) = curves_show([aimed])
    assert "pairs of a sample and a target that are classified correctly and not turned" in pairs
    assert "still classified" not in pairs
    assert curves_show([aimed, free])[0] == plain
    assert "Of targeted runs: the share of pairs" in curves_show([aimed, free])[1]


def test_an_unfinished_run_says_so() -> None:
    doubts = [Doubt("incomplete", "Batches are missing.")]
    assert "The run is not finished" in said(attack_run({"ddn": [1.0]}, doubts=doubts))
    assert statement(attack_run({"ddn": []}, doubts=doubts), [1.0]) == [
        "No sample of mnist has been attacked yet."
    ]


def test_the_strongest_attack_in_a_norm_may_minimize_another() -> None:
    far, near = (attack_run({name: [one] * 9}) for name, one in (("ddn", 2.0), ("fmn", 1.0)))
    records = pa.concat_tables([far.run.records, with_column(near, norm=["linf"] * 9).run.records])
    run = replace(far, run=replace(far.run, records=records))
    for norm in ("l2", "linf"):
        [text] = [one for one in statement(run, (), norm) if "strongest" in one]
        assert text.startswith(f"The strongest of 2 attacks in {norm_name(norm)} was fmn: on 100.0")


def test_a_norm_that_no_attack_minimizes_is_named() -> None:
    run = attack_run({"ddn": [1.0] * 9})
    text = "No attack of this run minimizes L1: one that does would find smaller changes."
    assert text in statement(run, (1.0,), "l1")
    assert "No attack of this run minimizes" not in said(run, 1.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "40.0 seconds"), (3.0, "8.0 minutes"), (1e-6, "less than 0.1 seconds")],
)
def test_durations_have_a_suitable_unit(seconds: float, text: str) -> None:
    run = with_column(attack_run({"ddn": [1.0] * 160}), seconds=[seconds] * 160)
    assert f"{text} in total" in said(run)


def test_numbers_of_attacks_at_a_fixed_radius_are_at_most_that() -> None:
    run = attack_run({"pgd": [0.3] * 8 + [0.0]}, limits={"pgd": 0.3}, fixed={"pgd": "0.3"})
    text = said(run, 0.1, 0.3)
    assert "at most 88.9 % (0.0 to 98.0 %) within 0.1 and 0.0 % (0.0 to" in text
    assert "Where it says 'at most', the attacks search for any adversarial" in text
    assert "or less (95 % confidence interval: 0 to 0.3), and perhaps by a much smaller" in text
    usual = said(attack_run({"ddn": [0.3] * 8 + [0.0]}), 0.1, 0.3)
    assert "at most 88.9" not in usual
    assert "perhaps" not in usual
    curves = " ".join(curves_show([run]))
    assert "At smaller ones its curve is an upper bound" in curves
    assert len(curves_show([attack_run({"ddn": [0.3]})])) == 1
