"""Models in ONNX files: run by ONNX Runtime, and differentiated as copies in PyTorch."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.checks import check_choice
from minnorm.errors import InputError, one_line
from minnorm.models.onnx_copy import copy_of, difference
from minnorm.models.onnx_graph import Graph, read_graph
from minnorm.models.onnx_session import Session, as_rows, fitted
from minnorm.models.outputs import LEAST_PROBABILITY, Scores, log_probabilities_of, logits_of
from minnorm.models.predict_only import PredictOnly
from minnorm.runtime.devices import full_float32
from minnorm.specs import choose

logger = logging.getLogger(__name__)

Meaning: TypeAlias = Literal["logits", "probabilities"]
"""What the output of a graph is."""

_SAMPLES = 8
"""The inputs on which a copy is compared with ONNX Runtime."""


def load_onnx(path: Path, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """Load a model from an ONNX file; nothing in it is run but operators of ONNX Runtime.

    Attacks use the gradients of a copy in PyTorch if the file can be converted, and if the copy
    returns what ONNX Runtime does: on random inputs now, and on the first inputs that it gets. Else
    ONNX Runtime predicts, and attacks can use scores and decisions. So it is with quantized files,
    whose gradients are useless; those with dynamic quantization get one sample at a time. A softmax
    or sigmoid at the end is left out; other probabilities become logarithms.

    Args:
        path: The file.
        arguments: Those of the spec: `output`, the name of the output with the scores, and
            `access`: `scores` to predict with ONNX Runtime alone, `gradients` to require the copy.

    Raises:
        MissingLibraryError: If onnx or onnxruntime is not installed.
        MissingFileError: If a file with weights is missing.
        InputError: If the file is no classifier, an argument is unknown, or there is no copy though
            it is required.
    """
    given = dict(arguments or {})
    for name in given:
        choose(name, ("access", "output"), "parameter", "of an ONNX file")
    access = given.get("access")
    if access is not None:
        check_choice("access", access, ("gradients", "scores"))
    graph = read_graph(path, given.get("output"))
    session = Session(graph, path.name)
    probes = _random_inputs(graph)
    meaning = _meaning(graph, session, probes)
    _say_what_is_left_out(path, graph, meaning)
    copy, reason = None, "this access was chosen"
    if access != "scores":
        copy, reason = copy_of(graph, session, probes)
    if copy is None and access == "gradients":
        raise InputError(f"{path} has no gradients: {reason}.")
    if copy is None:
        level = logging.INFO if access == "scores" else logging.WARNING
        logger.log(level, "%s: attacks can use its scores, not gradients: %s", path, reason)
        return _predicted(graph, session, meaning)
    logger.info("%s: attacks use the gradients of a copy in PyTorch", path)
    return OnnxModel(copy, session, graph, meaning)


class OnnxModel(nn.Module):
    """A copy in PyTorch of a model in an ONNX file.

    The first call compares the copy with ONNX Runtime on some of its inputs.
    """

    def __init__(
        self, network: nn.Module, session: Session, graph: Graph, meaning: Meaning
    ) -> None:
        super().__init__()
        self.__name__ = Path(session.name).stem  # reports show it
        self.network = network
        self._reference: Session | None = session
        self._name = session.name
        self._meaning = meaning
        self._graph = replace(graph, proto=None)
        self.libraries = ("onnx2pytorch", "onnxruntime")
        if graph.shape is not None and None not in graph.shape:
            self.input_shape = graph.shape
        self.eval()

    def extra_repr(self) -> str:
        """Return what identifies the file, which the fingerprint of a model includes."""
        return f"sha256={self._graph.digest}, output={self._graph.output}"

    def forward(self, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b c"]:
        """Return the logits.

        Raises:
            InputError: If the inputs do not fit, or ONNX Runtime returns something else.
        """
        if self._reference is not None and len(inputs) > 0 and not torch.compiler.is_compiling():
            self._compare(self._reference, inputs[:_SAMPLES].detach())
            self._reference = None
        output = self.network(fitted(inputs, self._graph, self._name))
        rows: Tensor = as_rows(output, len(inputs), self._name)
        if self._meaning == "probabilities":
            rows = rows.clamp_min(LEAST_PROBABILITY).log()
        return rows if rows.shape[1] > 1 else nn.functional.pad(rows, (1, 0))

    def _compare(self, session: Session, inputs: Tensor) -> None:
        with torch.no_grad(), full_float32():
            found = self.network(fitted(inputs, self._graph, self._name))
        reason = difference(found, session.run(inputs), session)
        if reason:
            raise InputError(
                f"the copy of {self._name} in PyTorch cannot be used: {reason}. Attack it "
                f"by its scores: '{self._name}(access=scores)'."
            )


def _random_inputs(graph: Graph) -> Tensor | None:
    """Return inputs in 0..1 of the stated shape; `None` if that is not known."""
    if graph.shape is None or None in graph.shape:
        return None
    count = 2 * graph.batch + 1 if graph.batch is not None and graph.batch < _SAMPLES else _SAMPLES
    generator = torch.Generator().manual_seed(0)
    sizes = [size for size in graph.shape if size is not None]
    values = torch.rand(count, *sizes, generator=generator)
    return values.to(_dtype_of(graph))


def _dtype_of(graph: Graph) -> torch.dtype:
    """Return the dtype of the inputs as PyTorch names it."""
    return torch.from_numpy(np.empty(0, graph.dtype)).dtype


def _meaning(graph: Graph, session: Session, probes: Tensor | None) -> Meaning:
    """Return what the output of a graph is."""
    if graph.activation:
        return "logits"
    if probes is None:
        return "probabilities" if "prob" in graph.output.lower() else "logits"
    try:
        output = session.run(probes)
    except InputError:
        raise
    except Exception as error:  # of many kinds
        raise InputError(f"ONNX Runtime cannot run {session.name}: {one_line(error)}") from error
    sums = output.sum(1, dtype=np.float64)
    return "probabilities" if output.min() >= 0 and abs(sums - 1).max() < 1e-3 else "logits"


def _say_what_is_left_out(path: Path, graph: Graph, meaning: Meaning) -> None:
    if graph.activation:
        logger.info(
            "%s: its last layer, %s, is left out: attacks use the logits before it",
            path,
            graph.activation,
        )
    elif meaning == "probabilities":
        logger.info("%s: its probabilities become logarithms, which attacks need", path)
    if graph.unused:
        logger.info(
            "%s: the class is that of the largest score, other outputs are not used: %s",
            path,
            ", ".join(graph.unused),
        )


def _predicted(graph: Graph, session: Session, meaning: Meaning) -> PredictOnly:
    read = log_probabilities_of if meaning == "probabilities" else logits_of

    def predict(inputs: Tensor) -> Scores:
        return read(session.run(inputs), len(inputs))

    model = PredictOnly(
        predict,
        "scores",
        name=Path(session.name).stem,
        identity=f"sha256={graph.digest}, output={graph.output}",
        arrays=False,
        libraries=["onnxruntime"],
    )
    return model.to(_dtype_of(graph))
