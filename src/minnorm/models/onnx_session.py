"""ONNX Runtime: what a graph returns for batches of any size, in the shape that it takes."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minnorm.errors import InputError, MissingLibraryError, one_line
from minnorm.models.onnx_graph import Graph


class Session:
    """ONNX Runtime on the CPU, for batches of any size.

    Args:
        graph: The graph.
        name: The name of the file, for messages.

    Raises:
        MissingLibraryError: If onnxruntime is not installed.
        InputError: If ONNX Runtime cannot run the graph.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingLibraryError(
                f"{name} needs onnxruntime: pip install 'minnorm[onnx]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        options.use_deterministic_compute = True
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(
                graph.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of many kinds, for operators that it does not know
            raise InputError(f"ONNX Runtime cannot run {name}: {one_line(error)}") from error
        self.graph = graph
        self.name = name

    def __deepcopy__(self, memory: object) -> "Session":
        return self  # it cannot be copied, and never changes

    def run(self, inputs: Tensor) -> NDArray[Any]:
        """Return the output for a batch, in batches of the size that the graph takes.

        Raises:
            InputError: If the inputs do not fit, or the output is no row of scores for each.
        """
        values = fitted(inputs, self.graph, self.name).detach().cpu().numpy()
        values = np.ascontiguousarray(values, dtype=self.graph.dtype)
        size = self.graph.batch or len(values)
        parts = [values[start : start + size] for start in range(0, len(values), size)]
        outputs = [self._run(part, size - len(part))[: len(part)] for part in parts]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def _run(self, values: NDArray[Any], missing: int) -> NDArray[Any]:
        if missing > 0:
            values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
        (output,) = self._session.run([self.graph.output], {self.graph.input: values})
        found: NDArray[Any] = as_rows(np.asarray(output), len(values), self.name)
        if found.shape[1] == 1 and not self.graph.activation:
            raise InputError(
                f"{self.name} returns one number for each input, and does not say that it is the "
                "logit of class 1 of two, with a sigmoid: write a function that runs it, and wrap "
                "it with minnorm.models.predict_only(function, outputs=...)."
            )
        return found


def fitted(inputs: Tensor, graph: Graph, name: str) -> Tensor:
    """Return inputs in the shape that a graph takes: flat, or with the channels last.

    Raises:
        InputError: If it takes another one.
    """
    found, shape = tuple(inputs.shape[1:]), graph.shape
    if shape is None or _matches(found, shape):
        return inputs
    if len(shape) == 1 and shape[0] in (None, math.prod(found)):
        return inputs.flatten(1)
    if len(shape) == len(found) == 3 and _matches((*found[1:], found[0]), shape):
        return inputs.permute(0, 2, 3, 1)
    expected = ", ".join("any" if size is None else str(size) for size in (None, *shape))
    raise InputError(f"{name} takes inputs of shape [{expected}]; got {list(inputs.shape)}.")


def _matches(found: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(found) == len(shape) and all(
        size in (None, other) for size, other in zip(shape, found, strict=True)
    )


def as_rows(output: Any, samples: int, name: str) -> Any:
    """Return an output, an array or a tensor, as rows of scores.

    Raises:
        InputError: If it has another shape.
    """
    shape = tuple(output.shape) if isinstance(output, Tensor | np.ndarray) else ()
    if shape == (samples,):
        return output.reshape(samples, 1)
    if len(shape) < 2 or shape[0] != samples or math.prod(shape[2:]) != 1:
        raise InputError(
            f"{name} returned an output of shape {list(shape)} for {samples} inputs; expected "
            f"scores [{samples}, classes]."
        )
    return output.reshape(samples, shape[1])
