"""Whether the model and the data of a run are those of its finished units, checked on samples."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from minnorm import boxes
from minnorm.access import access_of
from minnorm.attacks import Model
from minnorm.data import Data
from minnorm.data.dataset import drawn
from minnorm.errors import RunConflictError
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.mixtures import differences_of_samples
from minnorm.evaluation.records import Records
from minnorm.evaluation.running.batches import decision_before, read_batch, with_votes
from minnorm.evaluation.running.restrictions import Restrictions
from minnorm.evaluation.store.configuration import Configuration
from minnorm.geometry import distances
from minnorm.logits import logit_sizes, predictions

_CHECKED = 64
"""The number of finished samples that are read and classified again."""

_ROUNDED = 1e-2
"""How far the logits of two classes may be apart, relative to the largest, to be equal."""

_ROUNDED_DECISIONS = 1 / 32
"""The share of samples whose class may change by rounding, if nothing but the class is known."""


def check_finished(
    path: Path,
    records: Records,
    configuration: Configuration,
    *,
    model: Model,
    data: Data,
    restrictions: Restrictions,
) -> None:
    """Check that the finished samples of a run have the same labels, inputs and predictions now.

    Configurations are compared before, but no fingerprint covers all of a data set that is read
    item by item, or a model behind a function. Labels are compared for all samples if they are
    known before these are read, and everything for at most 64 samples.

    Args:
        path: The run directory, for the message.
        records: The records of its finished units.
        configuration: Its configuration.
        model: The classifier that is to continue it.
        data: The data that are to continue it.
        restrictions: The bounds of a sample, and which of its features may change.

    Raises:
        RunConflictError: If they differ; of predictions, by more than rounding.
    """
    if len(records) == 0:
        return
    samples, rows = np.unique(records.column("index").to_numpy(), return_index=True)
    if data.labels is not None:
        known = pa.table({"index": samples, "label": data.labels[samples]})
        _check_data(path, differences_of_samples(records, known, None))
    chosen = drawn(len(samples), _CHECKED)
    expected = records.take(pa.array(rows[chosen]))
    positions = [data.indices.index(sample) for sample in samples[chosen].tolist()]
    parts = list(_classified(model, data, positions, restrictions, configuration.batch_size))
    found = pa.concat_tables([table for table, _ in parts])
    _check_data(path, differences_of_samples(expected, found, configuration.dtype))
    _check_predictions(path, expected, torch.cat([logits for _, logits in parts]), model)


def _classified(
    model: Model, data: Data, positions: list[int], restrictions: Restrictions, size: int
) -> Iterator[tuple[Records, Tensor]]:
    """Yield what records hold of some samples, and what the model decides for them, in batches."""
    for start in range(0, len(positions), size):
        part = positions[start : start + size]
        batch = with_votes(model, read_batch(model, data, part, restrictions.bounds), data.name)
        middle = boxes.middle(restrictions.of(batch.inputs), batch.inputs)
        columns = {
            "index": batch.indices,
            "label": batch.labels.cpu().numpy(),
            "gray_l2": distances(middle, batch.inputs).double().cpu().numpy(),
        }
        yield pa.table(columns), decision_before(batch, batch.labels).logits.double().cpu()


def _check_data(path: Path, differences: list[str]) -> None:
    if differences:
        raise RunConflictError(
            f"{path} holds a run on other data of the same name and fingerprint:",
            *(f"  {difference}" for difference in differences),
            "Name another folder, or repeat the command that started the run with its data.",
        )


def _check_predictions(path: Path, expected: Records, logits: Tensor, model: Model) -> None:
    """Compare predictions with those of the records; logits nearly as large do not count."""
    before: Array = expected.column("clean_prediction").to_numpy().copy()
    now = predictions(logits).numpy()
    largest = logit_sizes(logits)
    scores = logits.nan_to_num().gather(1, torch.from_numpy(before).clamp(min=0)[:, None])[:, 0]
    nearly = (logits.nan_to_num().amax(1) - scores <= _ROUNDED * largest).numpy()
    differing = np.flatnonzero((before != now) & ~(nearly & (before >= 0) & (now >= 0)))
    decides = access_of(model) == "decisions" or expected.column("clean_share").null_count == 0
    if len(differing) > (_ROUNDED_DECISIONS * len(before) if decides else 0):
        one = differing[0]
        raise RunConflictError(
            f"{path} holds a run of another model of the same name and weights: it classifies "
            f"{len(differing)} of {len(before)} samples differently, for example sample "
            f"{expected.column('index')[one].as_py()}: {before[one]} there, {now[one]} now.",
            "Name another folder, or repeat the command that started the run with its model.",
        )
