"""Small ONNX files, written node by node."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    np.dtype("float16"): TensorProto.FLOAT16,
    np.dtype("float32"): TensorProto.FLOAT,
    np.dtype("float64"): TensorProto.DOUBLE,
    np.dtype("int64"): TensorProto.INT64,
    np.dtype("uint8"): TensorProto.UINT8,
}

WEIGHTS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
"""The weights of the linear classifier of `linear`: 6 features, 4 classes."""


def value(name: str, dtype: Any, shape: Sequence[Any] | None) -> Any:
    """Return an input or output."""
    return helper.make_tensor_value_info(name, TYPES[np.dtype(dtype)], shape)


def save(
    path: Path,
    nodes: Sequence[Any],
    weights: dict[str, NDArray[Any]],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
) -> Path:
    """Write a graph to a file."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        list(inputs),
        list(outputs),
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


def linear(
    path: Path,
    *last: Any,
    shape: Sequence[Any] = ("batch", 6),
    dtype: Any = np.float32,
    weights: NDArray[Any] = WEIGHTS,
    output: Any = None,
) -> Path:
    """Write a linear classifier, then the last nodes, of which the first gets `logits`."""
    nodes = [helper.make_node("MatMul", ["inputs", "weights"], ["logits"]), *last]
    name = nodes[-1].output[0]
    given = value("inputs", dtype, shape)
    found = output or value(name, dtype, [shape[0], weights.shape[1]])
    return save(path, nodes, {"weights": weights.astype(dtype)}, [given], [found])
