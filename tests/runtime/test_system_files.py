"""Files of the system: what cannot be read, and control groups of both versions."""

from pathlib import Path

import pytest

from minnorm.runtime import system_files
from minnorm.runtime.system_files import control_groups, read_lines


def test_a_file_that_cannot_be_read_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a\nb\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert read_lines(tmp_path / "file") == ["a", "b"]
    assert read_lines(tmp_path / "missing") == []
    assert read_lines(tmp_path / "binary") == []
    assert read_lines(tmp_path) == []


@pytest.mark.parametrize(
    ("lines", "controller", "expected"),
    [
        (["0::/outer/inner"], "", ["outer/inner", "outer", ""]),
        (["0::/"], "", [""]),
        ([], "", [""]),
        (["5:memory:/m", "2:cpu,cpuacct:/jobs/7", "0::/new"], "cpu", ["jobs/7", "jobs", ""]),
        (["5:memory:/m", "2:cpu,cpuacct:/jobs/7", "0::/new"], "", ["new", ""]),
        (["2:cpuset:/a"], "cpu", [""]),
        (["nonsense"], "", [""]),
    ],
)
def test_the_groups_of_a_process_and_their_parents(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], controller: str, expected: list[str]
) -> None:
    monkeypatch.setattr(system_files, "read_lines", lambda _: lines)
    root = Path("/sys/fs/cgroup") / controller
    assert control_groups(controller) == [root / name for name in expected]
