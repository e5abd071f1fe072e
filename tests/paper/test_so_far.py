"""What has run so far: nothing runs, and nothing else is taken for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.small_runs import files
from minnorm.errors import InputError
from minnorm.evaluation.records import samples_in
from minnorm.files import write_tensors
from minnorm.models.small_cnn import mnist_cnn
from minnorm.paper.experiment import AttackRow
from minnorm.paper.measuring import Options, measure
from paper.measured_by_hand import interrupted_after
from paper.small_settings import NOTHING, one, setting


def test_so_far_takes_what_is_finished_and_runs_nothing(tmp_path: Path) -> None:
    small = one(setting(batch_size=2))
    (before,) = measure(small, Options(tmp_path, so_far=True))
    assert before.runs == ()
    assert before.missing == dict.fromkeys(("C&W 9x10,000", "DDN 100"), NOTHING)
    assert files(tmp_path) == {}

    with pytest.raises(KeyboardInterrupt):
        measure(small, Options(tmp_path, on_progress=interrupted_after(2)))
    kept = files(tmp_path)
    (found,) = measure(small, Options(tmp_path, so_far=True))
    assert files(tmp_path) == kept
    assert samples_in(found.of("DDN 100")) == 4
    assert found.unfinished() == {"DDN 100": "4 of 5 images"}
    assert found.missing == {"C&W 9x10,000": NOTHING}
    (whole,) = measure(small, Options(tmp_path))
    assert whole.unfinished() == {}
    assert whole.missing == {}
    (again,) = measure(small, Options(tmp_path, so_far=True))
    assert again.of("DDN 100").equals(whole.of("DDN 100"))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"model": "evaluation.tiny_models:two_classes"}, "network: evaluation.tiny_models:linear"),
        ({"data": "mnist-sample[:4]"}, "samples: range(0, 5), not range(0, 4)"),
        ({"targets": "all"}, "targets: None, not all"),
        ({"accelerate": "plain"}, "acceleration: off, not plain"),
        (
            {"attacks": (AttackRow(name="DDN 100", attack="ddn(steps=3)"),)},
            "DDN 100: ddn(steps=2, levels=256), not ddn(steps=3)",
        ),
    ],
)
def test_so_far_takes_no_run_of_something_else(
    changes: dict[str, object], difference: str, tmp_path: Path
) -> None:
    measure(one(setting()), Options(tmp_path))
    with pytest.raises(InputError, match="holds a run of something else") as caught:
        measure(one(setting(**changes)), Options(tmp_path, so_far=True))
    assert difference in "\n".join(map(str, caught.value.args))
    for options, text in (
        ({"seed": 1}, "seed: 0, not 1"),
        ({"accelerate": "plain"}, "off, not plain"),
    ):
        with pytest.raises(InputError, match=text):
            measure(one(setting()), Options(tmp_path, so_far=True, **options))


def test_so_far_needs_no_images_and_notices_others(tmp_path: Path) -> None:
    file = tmp_path / "images.npz"
    generator = np.random.default_rng(0)
    inputs, labels = generator.random((5, 1, 28, 28), np.float32), np.arange(5)
    np.savez(file, images=inputs, labels=labels)
    rows = setting().attacks[1:]
    own = one(setting(data=str(file), attacks=rows))
    options = Options(tmp_path / "out")
    measure(own, options)
    np.savez(file, images=inputs / 2, labels=labels)
    with pytest.raises(InputError, match="fingerprint of the data"):
        measure(own, replace(options, so_far=True))
    file.unlink()
    (found,) = measure(own, replace(options, so_far=True))
    assert samples_in(found.of("DDN 100")) == 5


def test_so_far_mixes_no_runs_of_changed_weights(tmp_path: Path) -> None:
    file = tmp_path / "network.safetensors"
    together, apart = setting().attacks[1:], setting().attacks[:1]
    options = Options(tmp_path / "out")
    for seed, rows in ((0, together), (1, apart)):
        torch.manual_seed(seed)
        write_tensors(file, mnist_cnn().state_dict(), {"architecture": "mnist_cnn"})
        measure(one(setting(model=str(file), attacks=rows)), options)
    with pytest.raises(InputError, match=r"the network .* was another one in .*mnist than in"):
        measure(one(setting(model=str(file))), replace(options, so_far=True))


def test_a_run_that_has_begun_and_finished_nothing_has_no_rows(tmp_path: Path) -> None:
    measure(one(setting()), Options(tmp_path))
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    (found,) = measure(one(setting()), Options(tmp_path, so_far=True))
    assert found.runs == ()
    assert set(found.missing.values()) == {NOTHING}
