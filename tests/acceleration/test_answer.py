"""What a model returns for a batch: its output, its checked logits, or why it fails."""

import re

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import small_problem, threshold
from minnorm.acceleration import clean_logits
from minnorm.acceleration.answer import answer
from minnorm.errors import InputError, OutOfMemoryError
from minnorm.models import predict_only


def test_the_output_comes_without_gradients_and_unchecked() -> None:
    output = answer(lambda inputs: 2 * inputs, torch.ones(2, requires_grad=True))
    assert output is not None
    assert not output.requires_grad
    assert output.tolist() == [2.0, 2.0]
    assert answer(lambda _: "no logits", torch.ones(2)) == "no logits"  # type: ignore[arg-type]


def test_without_memory_there_is_no_output() -> None:
    def model(inputs: Tensor) -> Tensor:
        raise torch.OutOfMemoryError(f"out of memory for {len(inputs)}")

    assert answer(model, torch.ones(2)) is None


def test_a_service_that_is_down_is_no_matter_of_shapes() -> None:
    def service(_: object) -> object:
        raise ConnectionError("down")

    message = "the model failed on inputs of shape [2, 3] (torch.float32): ConnectionError: down"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        answer(predict_only(service), torch.ones(2, 3))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({}, "the model failed on inputs of shape [2, 3] (torch.float32): KeyError: 'layer'"),
        (
            {"what": "an example", "where": "data.npz"},
            "the model failed on an example of shape [2, 3] (torch.float32) from data.npz: Key",
        ),
    ],
)
def test_an_error_names_the_batch_and_its_source(names: dict[str, str], expected: str) -> None:
    def model(_: Tensor) -> Tensor:
        raise KeyError("layer")

    with pytest.raises(InputError, match=re.escape(expected)):
        answer(model, torch.ones(2, 3), **names)


def test_clean_logits_are_those_of_the_model() -> None:
    model, inputs, labels = small_problem()
    assert torch.equal(clean_logits(model, inputs, labels), model(inputs))


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_a_batch_that_is_too_large_for_memory_is_halved(most: int) -> None:
    sizes = []
    _, inputs, labels = small_problem(batch=7)

    def small(points: Tensor) -> Tensor:
        sizes.append(len(points))
        if len(points) > most:
            raise torch.OutOfMemoryError
        return threshold(points)

    assert torch.equal(clean_logits(small, inputs, labels % 2), threshold(inputs))
    assert sum(size for size in sizes if size <= most) == 7
    assert sizes[:2] == ([7] if most == 7 else [7, 3])
    if most == 2:
        assert sizes == [7, 3, 1, 2, 4, 2, 2]


def test_labels_are_checked_part_by_part() -> None:
    def small(points: Tensor) -> Tensor:
        if len(points) > 2:
            raise torch.OutOfMemoryError
        return threshold(points)

    message = "labels range from 1 to 2, but the model has 2 classes"
    for source, start in (("", ""), ("mnist-sample", "mnist-sample: ")):
        with pytest.raises(InputError, match=f"^{start}{message}"):
            clean_logits(small, torch.rand(4, 1), torch.tensor([0, 1, 1, 2]), source)


def test_a_single_sample_that_is_too_large_is_an_error() -> None:
    def greedy(_: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    message = r"^there is not enough memory for a single sample\.$"
    with pytest.raises(OutOfMemoryError, match=message):
        clean_logits(greedy, torch.rand(5, 2), torch.zeros(5, dtype=torch.int64))


@pytest.mark.parametrize("source", ["", "mnist-sample"])
def test_what_does_not_fit_is_named_with_its_source(source: str) -> None:
    inputs, labels = torch.rand(2, 1), torch.tensor([0, 5])
    start = f"{source}: " if source else ""
    message = f"{start}labels range from 0 to 5, but the model has 2 classes: expected labels "
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        clean_logits(threshold, inputs, labels, source)

    def broken(_: Tensor) -> Tensor:
        raise RuntimeError("shapes\n  differ")

    origin = " from mnist-sample" if source else ""
    message = (
        f"the model failed on inputs of shape [2, 1] (torch.float32){origin}: RuntimeError: "
        "shapes differ"
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        clean_logits(broken, inputs, labels, source)


def test_the_message_of_a_wrapper_stays_as_it_is() -> None:
    def model(_: Tensor) -> Tensor:
        raise InputError("the function returned text")

    with pytest.raises(InputError, match=r"^data.npz: the function returned text$"):
        answer(model, torch.ones(2, 3), where="data.npz")
