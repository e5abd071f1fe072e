"""Lightning Fabric, set up as a recipe says."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from minnorm.errors import InputError, MissingLibraryError
from minnorm.runtime import devices
from minnorm.training.launch import check_device, launch_fabric, planned_ranks
from training.small_runs import recipe_of

DIGITS = Path("digits.npz")


def test_fabric_has_the_precision_of_the_recipe() -> None:
    for precision, dtype in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)):
        fabric = launch_fabric(recipe_of(DIGITS, precision=precision))
        assert fabric.world_size == 1
        with fabric.autocast():
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize("device", [None, "cpu"])
def test_float16_needs_a_gpu(monkeypatch: pytest.MonkeyPatch, device: str | None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="16-mixed needs a GPU; use bf16-mixed"):
        check_device(device, "16-mixed")


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), None])
def test_a_device_may_be_chosen(device: str | torch.device | None) -> None:
    chosen = check_device(device, "32-true")
    assert chosen == (None if device is None else torch.device("cpu"))
    if chosen is not None:
        assert launch_fabric(recipe_of(DIGITS), chosen).device == chosen


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "tpu", ""])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(InputError, match=f"cannot use the device '{device}'.*Available: cpu"):
        check_device(device, "32-true")


def test_a_device_that_cannot_train_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "parse_device", torch.device)
    with pytest.raises(InputError, match="device xla: training runs on cpu, cuda, mps only"):
        check_device("xla", "32-true")


@pytest.fixture
def second_of_two_ranks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Set the variables of `torchrun`; return the devices whose existence is checked."""
    variables = {"RANK": 1, "LOCAL_RANK": 1, "WORLD_SIZE": 2, "MASTER_ADDR": "x", "MASTER_PORT": 1}
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    checked: list[str] = []

    def parse_device(name: str) -> torch.device:
        checked.append(name)
        return torch.device(name)

    monkeypatch.setattr(devices, "parse_device", parse_device)
    return checked


@pytest.mark.usefixtures("second_of_two_ranks")
def test_variables_that_torchrun_did_not_set_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    with pytest.raises(InputError, match=r"RANK=1, WORLD_SIZE=2, .* not by torchrun. .*unset RANK"):
        planned_ranks()


def test_each_rank_has_a_gpu_of_its_own(second_of_two_ranks: list[str]) -> None:
    assert planned_ranks() == 2
    assert check_device("cuda", "16-mixed") == torch.device("cuda")
    assert check_device("cpu", "32-true") == torch.device("cpu")
    assert second_of_two_ranks == ["cuda:1", "cpu"]


@pytest.mark.usefixtures("second_of_two_ranks")
@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_ranks_do_not_share_one_gpu(device: str) -> None:
    message = f"device {device} is one device, but torchrun started 2 ranks: write cuda"
    with pytest.raises(InputError, match=message):
        check_device(device, "32-true")


def test_one_gpu_of_several_may_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    fabric = Mock()
    monkeypatch.setattr("lightning_fabric.Fabric", fabric)
    for name, devices_ in (("cuda:1", [1]), ("cuda", 1), ("cpu", 1)):
        launch_fabric(recipe_of(DIGITS), torch.device(name))
        given = fabric.call_args.kwargs
        assert (given["accelerator"], given["devices"]) == (name.partition(":")[0], devices_)


def test_fabric_says_nothing_of_precision(capfd: pytest.CaptureFixture[str]) -> None:
    launch_fabric(recipe_of(DIGITS, precision="bf16-mixed"))
    assert capfd.readouterr() == ("", "")


def test_ranks_that_cannot_run_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "-1")
    with pytest.raises(InputError, match="-1 ranks cannot run on this machine: "):
        launch_fabric(recipe_of(DIGITS))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lightning_fabric", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[training\]'"):
        launch_fabric(recipe_of(DIGITS))
