"""The names of run directories."""

import pytest

from minnorm.paper.shared_runs import slug


@pytest.mark.parametrize(
    ("text", "expected"),
    [("C&W 9x10,000", "c-w-9x10-000"), ("CIFAR-10 DDN", "cifar-10-ddn"), (" all! ", "all")],
)
def test_a_name_becomes_that_of_a_folder(text: str, expected: str) -> None:
    assert slug(text) == expected
