"""The tests neither read nor write the user's home, caches and configuration."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import platformdirs
import pytest
import torch

from isolation import COMPILER_VARIABLES, HOME_VARIABLES
from minnorm.data import load_data
from minnorm.data.cache import cache_folder
from minnorm.errors import InputError

TEMPORARY = Path(tempfile.gettempdir()).resolve()


@pytest.mark.parametrize("name", [*HOME_VARIABLES, *COMPILER_VARIABLES])
def test_each_folder_of_the_user_is_a_temporary_one(name: str) -> None:
    assert Path(os.environ[name]).resolve().is_relative_to(TEMPORARY)


@pytest.mark.parametrize("turn", ["first", "second"])
def test_each_test_starts_with_an_empty_home(turn: str) -> None:
    home = Path.home()
    assert not list(home.iterdir())
    (home / turn).touch()


def test_libraries_keep_their_files_in_the_home_of_the_test() -> None:
    folders = [
        cache_folder(),
        platformdirs.user_config_path("minnorm"),
        Path(torch.hub.get_dir()),
    ]
    assert all(folder.is_relative_to(Path.home()) for folder in folders)


def test_a_data_set_in_the_cache_of_the_user_is_not_found() -> None:
    with pytest.raises(InputError, match=r"minnorm data fetch mnist"):
        load_data("mnist[:10]")


def test_a_process_that_a_test_starts_has_the_home_of_the_test() -> None:
    program = (
        "import json; from pathlib import Path; from minnorm.data.cache import cache_folder; "
        "print(json.dumps([str(Path.home()), str(cache_folder())]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [str(Path.home()), str(cache_folder())]
