"""The schedules are what their names say."""

import pytest

from minnorm.training.optimization import share_of_rate
from minnorm.training.recipe import Schedule


@pytest.mark.parametrize(
    ("schedule", "epochs", "expected"),
    [
        (Schedule(), 4, {0: 1, 1.5: 1, 3.99: 1}),
        (Schedule(name="linear"), 4, {0: 1, 1: 0.75, 2: 0.5, 3.5: 0.125, 4: 0}),
        (Schedule(name="cosine"), 4, {0: 1, 1: 0.8535534, 2: 0.5, 3: 0.1464466, 4: 0}),
        (
            Schedule(name="milestones", milestones=(2, 3), factor=0.1),
            4,
            {0: 1, 1.99: 1, 2: 0.1, 2.99: 0.1, 3: 0.01, 4: 0.01},
        ),
        (Schedule(warmup=2), 4, {0: 0.001, 0.5: 0.25, 1: 0.5, 2: 1, 3: 1}),
        (Schedule(name="linear", warmup=1), 5, {0: 0.001, 0.5: 0.5, 1: 1, 3: 0.5, 5: 0}),
        (Schedule(name="cosine", warmup=1), 5, {0.5: 0.5, 1: 1, 3: 0.5, 5: 0}),
    ],
    ids=["constant", "linear", "cosine", "milestones", "warm", "warm linear", "warm cosine"],
)
def test_the_rate_follows_the_schedule(
    schedule: Schedule, epochs: int, expected: dict[float, float]
) -> None:
    shares = {epoch: share_of_rate(schedule, epoch, epochs) for epoch in expected}
    assert shares == pytest.approx(expected, abs=1e-7)
