"""Sightings: which of several lines of each sample go on."""

import torch

from minnorm.attacks.engine.queries.bases import basis_of
from minnorm.attacks.engine.queries.lines import Line
from minnorm.attacks.engine.queries.normals import first_sighting, shortest


def test_the_shortest_lines_of_each_sample_with_their_beliefs() -> None:
    lengths = torch.tensor([[3.0, 1.0, torch.inf], [1.0, 2.0, torch.inf], [2.0, torch.inf, 5.0]])
    basis = basis_of(torch.zeros(3, 4))
    sightings = [
        first_sighting(Line(torch.full((3, 4), float(place)), torch.zeros(3), high), basis)
        for place, high in enumerate(lengths)
    ]
    first, second = shortest(sightings, 2)
    assert first.line.high.tolist() == [1.0, 1.0, 5.0]
    assert second.line.high.tolist() == [2.0, 2.0, torch.inf]
    assert first.line.directions[:, 0].tolist() == [1.0, 0.0, 2.0]
    assert second.line.directions[:2, 0].tolist() == [2.0, 1.0]
