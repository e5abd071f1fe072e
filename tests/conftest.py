"""Set up for all tests: one thread each, and shapes and dtypes checked as annotated."""

import os

# The tensors of the tests are tiny: more threads would only get into each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# They are of a CPU, also where there is a GPU: those of a GPU run by themselves.
if "MINNORM_TEST_GPU" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

from hypothesis import settings
from jaxtyping import install_import_hook

# On a busy machine one example may take long.
settings.register_profile("minnorm", deadline=None)
settings.load_profile("minnorm")

# Before anything imports the package. Training is left out: it names Lightning Fabric's types
# without importing that optional library.
install_import_hook(
    ["minnorm.geometry", "minnorm.losses", "minnorm.attacks", "minnorm.evaluation"],
    "runtime_types.typechecker",
)
