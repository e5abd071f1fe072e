"""Set up all tests: folders of their own, one thread, and annotations checked at run time."""

import itertools
import logging
import os
from collections.abc import Iterator

import jaxtyping
import pytest
from hypothesis import settings

from isolation import environment, isolate_process

# Before PyTorch and the package are imported, which read what is set here.
isolate_process()

# The tensors of the tests are tiny: more threads would only slow each other down.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# All tests run on the CPU, except those of `make test-gpu`, which are collected only there.
collect_ignore = []
if "MINNORM_TEST_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    collect_ignore.append("test_cuda.py")

# On a busy machine one example may take long.
settings.register_profile("minnorm", deadline=None)
settings.load_profile("minnorm")

# Before anything imports the package. These are the modules that compute on tensors; for the others
# static types are enough. Training is left out: it names Lightning Fabric's types without importing
# that optional library.
jaxtyping.install_import_hook(
    [
        "minnorm.attacks.combinators",
        "minnorm.attacks.contract",
        "minnorm.attacks.decision",
        "minnorm.attacks.default",
        "minnorm.attacks.engine",
        "minnorm.attacks.gradient",
        "minnorm.attacks.score",
        "minnorm.attacks.suites",
        "minnorm.attacks.surrogates",
        "minnorm.attacks.transfer",
        "minnorm.evaluation.running",
        "minnorm.geometry",
        "minnorm.logits",
    ],
    "runtime_types.typechecker",
)

_NUMBERS = itertools.count()
"""The numbers of the homes of the tests."""


@pytest.fixture(autouse=True)
def _annotations(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check annotations in the fast tests alone: in the slow ones it takes half of the time."""
    if request.node.get_closest_marker("slow"):
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(autouse=True)
def _same_log_level_afterwards() -> Iterator[None]:
    """Restore the package's logger, which the command line configures for the whole process."""
    logger = logging.getLogger("minnorm")
    before = logger.level, list(logger.handlers)
    yield
    logger.setLevel(before[0])
    logger.handlers = before[1]


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give each test an empty home, cache and configuration folder."""
    # To number the folders, pytest would list all earlier ones for each test.
    home = tmp_path_factory.mktemp(f"home-{next(_NUMBERS)}", numbered=False)
    for name, folder in environment(home).items():
        monkeypatch.setenv(name, folder)
