"""Targets: distinct, never the label, and the same in all batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minnorm.errors import InputError
from minnorm.evaluation.running.targets import (
    check_enough_classes,
    check_targets,
    choose_targets,
    count_targets,
)

SEEDS = st.integers(0, 2**31)


def chosen(word: str, logits: Tensor, labels: Tensor, indices: list[int], seed: int = 0) -> Tensor:
    """Return the targets, `[runs b]`."""
    given = choose_targets(word, logits, labels, indices, seed)
    return torch.stack([targets for targets in given if targets is not None])


def batch(count: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, classes, generator=generator),
        torch.randint(classes, (count,), generator=generator),
    )


@given(st.integers(1, 9), st.integers(2, 7), SEEDS)
def test_all_are_the_other_classes_in_order(count: int, classes: int, seed: int) -> None:
    logits, labels = batch(count, classes, seed)
    targets = chosen("all", logits, labels, list(range(count)))
    for sample, label in enumerate(labels.tolist()):
        assert targets[:, sample].tolist() == [c for c in range(classes) if c != label]


@given(st.integers(1, 9), st.integers(2, 7), SEEDS)
def test_least_likely_is_the_lowest_logit_of_another_class(
    count: int, classes: int, seed: int
) -> None:
    logits, labels = batch(count, classes, seed)
    [targets] = chosen("least-likely", logits, labels, list(range(count)))
    for row, label, target in zip(logits, labels.tolist(), targets.tolist(), strict=True):
        assert target == min((c for c in range(classes) if c != label), key=lambda c: row[c])


def test_least_likely_is_never_the_label() -> None:
    logits = torch.tensor([[-5.0, 0.0, 1.0], [-torch.inf, 3.0, 2.0], [0.0, 0.0, 0.0]])
    labels = torch.tensor([0, 0, 0])
    assert chosen("least-likely", logits, labels, [0, 1, 2]).tolist() == [[1, 2, 1]]


@given(st.integers(1, 12), st.integers(2, 9), SEEDS, st.data())
def test_random_targets_are_distinct_and_never_the_label(
    count: int, classes: int, seed: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(1, classes - 1))
    logits, labels = batch(count, classes, seed)
    targets = chosen(f"random:{wanted}", logits, labels, list(range(count)), seed)
    assert targets.shape == (wanted, count)
    for sample, label in enumerate(labels.tolist()):
        own = targets[:, sample].tolist()
        assert len(set(own)) == wanted
        assert set(own) <= set(range(classes)) - {label}


@given(st.permutations(range(8)), st.integers(1, 8), SEEDS)
def test_random_targets_do_not_depend_on_the_batch(order: list[int], size: int, seed: int) -> None:
    logits, labels = batch(8, 6)
    whole = chosen("random:3", logits, labels, [10 * i for i in range(8)], seed)
    for start in range(0, 8, size):
        part = order[start : start + size]
        indices = [10 * i for i in part]
        assert torch.equal(
            chosen("random:3", logits[part], labels[part], indices, seed), whole[:, part]
        )


@pytest.mark.parametrize("mask", [-1e4, -1e9, -torch.inf])
def test_masked_classes_are_no_targets(mask: float) -> None:
    logits, labels = batch(8, 4)
    logits = torch.cat([torch.full((8, 2), mask), logits], 1)
    labels = torch.where(torch.arange(8) < 6, labels + 2, labels % 2)  # the last two are masked
    [targets] = chosen("least-likely", logits, labels, list(range(8)))
    for row, label, target in zip(logits, labels.tolist(), targets.tolist(), strict=True):
        assert target == min((c for c in range(2, 6) if c != label), key=lambda c: row[c])
    drawn = chosen("random:3", logits, labels, list(range(8)))
    for label, own in zip(labels.tolist(), drawn.unbind(1), strict=True):
        assert label not in own
        assert len(set(own.tolist())) == 3
        assert (own >= 2).all()
    with pytest.raises(
        InputError, match=r"6 classes, 2 of them masked .*; expected at most random:3"
    ):
        check_enough_classes("all", 6, 2)
    check_enough_classes("random:3", 6, 2)
    check_enough_classes("least-likely", 6, 2)
    with pytest.raises(InputError, match=r"2 classes, 1 of them masked .*: no other is possible"):
        check_enough_classes("least-likely", 2, 1)


def test_a_class_whose_logit_is_minus_infinity_is_never_a_target() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1e9], [0.0, -torch.inf, 2.0, -torch.inf]])
    labels = torch.tensor([2, 2])
    assert chosen("random:1", logits[1:], labels[1:], [1]).tolist() == [[0]]
    assert set(chosen("random:3", logits[:1], labels[:1], [0])[:2, 0].tolist()) == {0, 1}
    for word in ("all", "random:2"):
        with pytest.raises(InputError, match=r"sample 7 has only 1 other classes .* most random:1"):
            choose_targets(word, logits, labels, [5, 7], 0)
    with pytest.raises(InputError, match="sample 3 has only 0 other classes"):
        choose_targets("least-likely", torch.tensor([[-torch.inf, 1.0]]), labels[:1] - 1, [3], 0)
    only_far = torch.tensor([[0.0, -torch.inf, 5.0, -1e9]])
    assert chosen("least-likely", only_far, torch.tensor([0]), [0]).tolist() == [[2]]


def test_a_class_of_probability_0_is_a_target() -> None:
    tiny = torch.tensor([[0.5, 0.5, torch.finfo(torch.float64).tiny]], dtype=torch.float64).log()
    assert chosen("least-likely", tiny, torch.tensor([0]), [0]).tolist() == [[2]]


def test_random_targets_differ_between_samples_and_seeds() -> None:
    logits, labels = torch.zeros(200, 10), torch.zeros(200, dtype=torch.int64)
    first, second = (chosen("random:1", logits, labels, list(range(200)), s) for s in (0, 1))
    assert not torch.equal(first, second)
    # 200 draws from 9 classes: about 22 of each.
    assert torch.bincount(first[0], minlength=10)[1:].min() > 5


def test_random_targets_of_all_classes_are_all_of_them() -> None:
    logits, labels = batch(5, 4)
    drawn = chosen("random:3", logits, labels, list(range(5)))
    everything = chosen("all", logits, labels, list(range(5)))
    assert torch.equal(drawn.sort(0).values, everything)


def test_untargeted_is_one_run_without_targets() -> None:
    logits, labels = batch(3, 4)
    assert choose_targets(None, logits, labels, [0, 1, 2], 0) == [None]


@pytest.mark.parametrize("word", [None, "all", "least-likely", "random:1", "random:12"])
def test_the_words_for_targets(word: str | None) -> None:
    check_targets(word)


@pytest.mark.parametrize(
    "word", ["", "ALL", "every", "least_likely", "random", "random:", "random:0", "random:-1",
             "random:1.5", "random:x", "random:2 "]
)  # fmt: skip
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(InputError, match=r"targets='.*': expected 'all' .* 'least-likely' .* 'ran"):
        check_targets(word)


def test_more_targets_than_other_classes_are_refused() -> None:
    logits, labels = batch(3, 4)
    with pytest.raises(InputError, match="the model has 4 classes; expected at most random:3"):
        choose_targets("random:4", logits, labels, [0, 1, 2], 0)
    for word in (None, "all", "least-likely", "random:3"):
        check_enough_classes(word, 4)
    with pytest.raises(InputError, match="the model has 4 classes; expected at most random:3"):
        check_enough_classes("random:4", 4)


@pytest.mark.parametrize("targets", [None, "all", "least-likely", "random:1", "random:4"])
def test_as_many_targets_are_counted_as_are_chosen(targets: str | None) -> None:
    logits, labels = batch(3, 6)
    assert count_targets(targets, 6) == len(choose_targets(targets, logits, labels, [0, 1, 2], 0))
