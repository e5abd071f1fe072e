"""Keep the tests away from the user's folders: home, caches and configuration become temporary."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

HOME_VARIABLES = {
    "HOME": "",
    "USERPROFILE": "",
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "MINNORM_CACHE": ".cache/minnorm",
    "TORCH_HOME": ".cache/torch",
    "HF_HOME": ".cache/huggingface",
    "MPLCONFIGDIR": ".config/matplotlib",
}
"""The variables that name a folder of the user, and the place of each folder in a home."""

COMPILER_VARIABLES = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}
"""The variables that name a folder of compiled code, which the tests of one process share."""


def environment(home: Path) -> dict[str, str]:
    """Return the variables that make `home` the home folder, caches and configuration included."""
    return {name: str(home / place) for name, place in HOME_VARIABLES.items()}


def isolate_process() -> None:
    """Give this process, and those that it starts, an empty home and caches until it ends."""
    folder = Path(tempfile.mkdtemp(prefix="minnorm-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    home = folder / "home"
    home.mkdir()
    os.environ.update(environment(home))
    os.environ.update({name: str(folder / place) for name, place in COMPILER_VARIABLES.items()})
