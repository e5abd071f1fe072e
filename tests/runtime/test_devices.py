"""Devices: the default one, parsing names, waiting for them, and the precision of float32."""

import re
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minnorm.errors import InputError
from minnorm.runtime import devices


def test_the_default_device_is_the_gpu_of_this_rank_or_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.default_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert devices.default_device() == torch.device("cuda:0")
    monkeypatch.setattr(devices, "local_rank", lambda: 3)
    assert devices.default_device() == torch.device("cuda:3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.default_device() == torch.device("cuda:1")  # shared with rank 1


def test_the_name_of_the_cpu_is_parsed() -> None:
    assert devices.parse_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["", "banana", "cuda:99", "cuda:x", "xla", "hpu", "mtia"])
def test_a_device_that_this_machine_lacks_is_refused(name: str) -> None:
    message = f"cannot use the device {re.escape(repr(name))}.* Available: cpu"
    with pytest.raises(InputError, match=message) as caught:
        devices.parse_device(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "reason"),
    [("No such device. Ask\nfor help", "No such device"), ("No device\nAt all", "No device")],
)
def test_the_message_holds_the_first_sentence_of_the_reason(
    monkeypatch: pytest.MonkeyPatch, message: str, reason: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(torch, "zeros", fail)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match=rf"'cpu' \({reason}\)\. Available: cpu\.$"):
        devices.parse_device("cpu")


def test_the_message_names_every_available_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(InputError, match=r"Available: cpu, cuda:0, cuda:1, mps\.$"):
        devices.parse_device("banana")


def test_synchronizing_waits_for_every_device_but_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "synchronize", waited.append)
    devices.synchronize(torch.device("cpu"))
    devices.synchronize(torch.device("cuda:1"))
    assert waited == [torch.device("cuda:1")]


@pytest.mark.parametrize(
    ("name", "gpus", "hint"),
    [
        ("gpu", 0, " PyTorch finds no GPU on this machine."),
        ("cuda", 0, " PyTorch finds no GPU on this machine."),
        ("GPU", 2, " Did you mean 'cuda:0'?"),
        ("cuda9", 2, " Did you mean 'cuda:"),
        ("CPU", 0, " Did you mean 'cpu'?"),
        ("banana", 2, ""),
    ],
)
def test_a_word_for_a_device_has_a_hint(
    monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, hint: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError) as caught:
        devices.parse_device(name)
    *_, end = str(caught.value).partition(repr(name))
    assert (hint in end) if hint else end.startswith(". Available: cpu")
    assert "Expected one of" not in end


def test_the_dtype_and_device_are_those_of_the_first_floating_point_tensor() -> None:
    cpu = torch.device("cpu")
    assert devices.dtype_and_device(nn.Linear(1, 1).double()) == (torch.float64, cpu)
    assert devices.dtype_and_device(lambda inputs: inputs) == (torch.float32, cpu)
    assert devices.dtype_and_device(nn.Flatten()) == (torch.float32, cpu)
    module = nn.Module()
    module.register_buffer("count", torch.zeros(1, dtype=torch.int64))
    module.register_buffer("shift", torch.zeros(1, dtype=torch.bfloat16, device="meta"))
    assert devices.dtype_and_device(module) == (torch.bfloat16, torch.device("meta"))


@pytest.mark.parametrize("chosen", [True, False])
def test_the_users_setting_for_float32_is_restored_even_after_an_error(chosen: bool) -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    allowed_inside = []

    def fail() -> None:
        allowed_inside.append(cudnn.allow_tf32)
        raise ZeroDivisionError

    try:
        cudnn.allow_tf32 = chosen
        with pytest.raises(ZeroDivisionError), devices.full_float32():
            fail()
        assert allowed_inside == [False]
        assert cudnn.allow_tf32 == chosen
    finally:
        cudnn.allow_tf32 = before


def test_the_new_settings_of_pytorch_are_set_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = SimpleNamespace(fp32_precision="tf32"), SimpleNamespace(fp32_precision="none")
    cudnn = SimpleNamespace(conv=kinds[0], rnn=kinds[1], allow_tf32=True)
    monkeypatch.setattr(torch.backends, "cudnn", cudnn)
    with devices.full_float32():
        assert [kind.fp32_precision for kind in kinds] == ["ieee", "ieee"]
        assert not cudnn.allow_tf32
    assert [kind.fp32_precision for kind in kinds] == ["tf32", "none"]
    assert cudnn.allow_tf32


@pytest.mark.parametrize("chosen", [True, False])
@pytest.mark.parametrize("order", ["nested", "overlapping"])
def test_the_setting_holds_until_the_last_thread_has_left(chosen: bool, order: str) -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    first, second = devices.full_float32(), devices.full_float32()
    last_out = (second, first) if order == "nested" else (first, second)
    try:
        cudnn.allow_tf32 = chosen
        first.__enter__()
        second.__enter__()
        for one in last_out:
            assert not cudnn.allow_tf32
            one.__exit__(None, None, None)
        assert cudnn.allow_tf32 == chosen
    finally:
        cudnn.allow_tf32 = before


def test_many_threads_leave_the_users_setting() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    allowed_inside: list[bool] = []

    def work() -> None:
        for _ in range(50):
            with devices.full_float32():
                allowed_inside.append(cudnn.allow_tf32)

    threads = [Thread(target=work) for _ in range(8)]
    try:
        cudnn.allow_tf32 = True
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert cudnn.allow_tf32
        assert allowed_inside == [False] * 400
    finally:
        cudnn.allow_tf32 = before


def test_without_the_new_settings_the_old_one_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    cudnn = SimpleNamespace(allow_tf32=True)
    monkeypatch.setattr(torch.backends, "cudnn", cudnn)
    with devices.full_float32():
        assert not cudnn.allow_tf32
    assert cudnn.allow_tf32
