"""Ranks: a process alone, and two of them started by `torchrun`."""

import json
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from minnorm.errors import InputError
from minnorm.runtime import ranks


def test_a_process_alone_is_rank_0_of_1() -> None:
    tensor = torch.arange(3)
    with ranks.process_group():
        assert not dist.is_initialized()
        ranks.barrier()
        ranks.broadcast_from_first(tensor)
        assert (ranks.rank(), ranks.world_size()) == (0, 1)
        assert ranks.gather({"a": 1}) == [{"a": 1}]
    assert tensor.tolist() == [0, 1, 2]


@pytest.mark.parametrize("error", [ValueError("wrong"), OSError("full"), KeyError("bug")])
def test_a_process_alone_raises_its_own_errors(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), ranks.raise_on_all():
        raise error


@pytest.mark.parametrize("rank", ["0", "1"])
@pytest.mark.slow
def test_ranks_that_do_not_come_are_named_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, rank: str
) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    variables = {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(ranks, "_LONGEST_START_ALONE", timedelta(seconds=1))
    monkeypatch.setattr(ranks, "_SECONDS_BEFORE_NOTICE", 0.1)
    words = f"RANK={rank}, WORLD_SIZE=2, MASTER_ADDR=localhost, MASTER_PORT={port}"
    with pytest.raises(InputError, match=rf"within 1 seconds \({words}.*unset RANK and WORLD_SIZE"):
        ranks.process_group().__enter__()
    assert f"waiting for other ranks: {words}" in caplog.text
    assert not dist.is_initialized()


def test_leftover_variables_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for start in (ranks.check_launch, ranks.process_group().__enter__):
        with pytest.raises(InputError, match=r"WORLD_SIZE=2 is set .* but not RANK"):
            start()


RANK_PROGRAM = """
import json, sys
import torch
import torch.distributed as dist
from minnorm.errors import InputError
from minnorm.runtime import ranks
with ranks.process_group():
    with ranks.process_group():  # inside a group it neither joins again nor leaves early
        pass
    ranks.barrier()
    rank = ranks.rank()
    tensor = torch.full((2,), rank + 5)
    ranks.broadcast_from_first(tensor)
    seen = [rank, ranks.world_size(), ranks.gather(f"r{rank}"), tensor.tolist()]
    for error in (ValueError("wrong"), OSError("full")):
        try:
            with ranks.raise_on_all():
                if rank == 1:
                    raise error
            seen.append("nothing raised")
        except type(error) as caught:
            seen.append(repr(caught))
    with ranks.raise_on_all():
        seen.append("no error")
with open(f"{sys.argv[1]}/{rank}.json", "w") as file:
    file.write(json.dumps([*seen, dist.is_initialized()]))
"""


@pytest.mark.slow
def test_two_ranks_gather_broadcast_and_raise_together(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(RANK_PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*launcher, "--nproc-per-node=2", str(program), str(tmp_path)], check=True, timeout=120
    )
    for rank in (0, 1):
        seen = json.loads((tmp_path / f"{rank}.json").read_text())
        errors = ["ValueError('wrong')", "OSError('full')", "no error"]
        assert seen == [rank, 2, ["r0", "r1"], [5, 5], *errors, False]
