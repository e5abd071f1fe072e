"""Fingerprints of attacks that use several files, and of one attack in several processes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import minnorm
from minnorm.attacks import attack_fingerprint


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's package, with helpers in other files."""
    folder = tmp_path / "lab"
    (folder / "deep").mkdir(parents=True)
    for name, source in {
        "__init__": "",
        "attacks": "from lab import steps, tools\nfrom .deep.far import far\n"
        "def attack(x):\n    from lab.late import late\n    import lab.later\n"
        "    return far(tools.helper(x)) + late(x) + lab.later.later(x) + steps.STEPS\n",
        "steps": "STEPS = 3\nUNUSED = 4\n",
        "tools": "def helper(x): return inner(x)\ndef inner(x): return x + 1\n",
        "late": "def late(x): return x + 1\n",
        "later": "def later(x): return x + 1\n",
        "deep/__init__": "",
        "deep/far": "def far(x): return x + 1\n",
    }.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def imported() -> str:
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab"]:
        del sys.modules[name]
    module: Any = __import__("lab.attacks", fromlist=["attack"])
    return attack_fingerprint(module.attack)


@pytest.mark.parametrize("file", ["tools.py", "late.py", "later.py", "deep/far.py", "steps.py"])
def test_a_change_in_another_file_of_the_user_is_noticed(
    package: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = imported()
    assert imported() == before
    path = package / file
    path.write_text("# A comment.\n" + path.read_text() + "\n\ndef further(x): return 9\n")
    assert imported() == before
    path.write_text(path.read_text().replace("+ 1", "+ 2").replace("STEPS = 3", "STEPS = 5"))
    assert imported() != before


@pytest.mark.slow
def test_a_fingerprint_is_the_same_in_every_process_and_folder(tmp_path: Path) -> None:
    source = (
        "import sys, torch\n"
        f"sys.path.insert(0, {str(Path(minnorm.__file__).parents[1])!r})\n"
        "NAMES = {'one', 'two', 'three'}\nTABLE = {name: len(name) for name in NAMES}\n"
        "def helper(x): return x in {'four', 'five', 'six'} and cached.get(x)\n"
        "cached = {frozenset(NAMES): helper}\n"
        "class A:\n    tags = NAMES\n    def __call__(self, x): return helper(x), TABLE, object()\n"
        "def attack(*args):\n    return args[0] in {'one', 'two', 'three'}, helper, A(), torch\n"
        "if __name__ == '__main__':\n    from minnorm.attacks import attack_fingerprint\n"
        "    print(attack_fingerprint(attack))\n"
    )
    outputs = set()
    for seed in ("1", "2", "3"):
        folder = tmp_path / seed
        folder.mkdir()
        (folder / f"script{seed}.py").write_text(source)
        outputs.add(
            subprocess.run(
                [sys.executable, f"script{seed}.py"],
                cwd=folder,
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    assert len(outputs) == 1
    assert len(outputs.pop().strip()) == 16
