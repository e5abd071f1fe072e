"""ONNX files as graphs: read without running code, and cut to the scores of the classes."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minnorm.errors import InputError, MissingFileError, MissingLibraryError, one_line
from minnorm.specs import choose

_DTYPES = {"FLOAT": np.float32, "DOUBLE": np.float64, "FLOAT16": np.float16}
"""The element types of inputs that attacks can change, and their dtypes."""

_FLOATS = (1, 10, 11)
"""Their numbers in files: float, float16 and double."""

_ACTIVATIONS = ("Softmax", "Sigmoid")
"""Last layers that do not change which score of a sample is the largest."""

_QUANTIZING = (
    "QuantizeLinear",
    "DynamicQuantizeLinear",
    "ConvInteger",
    "MatMulInteger",
    "QLinearConv",
    "QLinearMatMul",
)
"""Operators that round to integers, whose derivative is 0 or that of a scale alone."""

_WRAP = "write a function that predicts, and wrap it with minnorm.models.predict_only"


@dataclass(frozen=True)
class Graph:
    """A graph from one input to the scores of the classes.

    Attributes:
        proto: The graph, a `ModelProto` of onnx with one input and one output.
        input: The name of the input.
        batch: The number of samples that it takes at once; `None` for any.
        shape: The sizes of one sample, `None` where any size is possible; `None` if not stated.
        dtype: The dtype of the input.
        output: The name of the output.
        activation: The last layer that was left out, such as `Softmax`; empty if there was none.
        quantizing: An operator that rounds to integers, such as `QLinearConv`; empty if none does.
        unused: The names of other outputs of the file.
        digest: The SHA-256 of the file and of the files of its weights.
    """

    proto: Any
    input: str
    batch: int | None
    shape: tuple[int | None, ...] | None
    dtype: Any
    output: str
    activation: str
    quantizing: str
    unused: tuple[str, ...]
    digest: str


def read_graph(path: Path, output: str | None = None) -> Graph:
    """Read an ONNX file.

    Args:
        path: The file.
        output: The name of the output with the scores; `None` to find it.

    Raises:
        MissingLibraryError: If onnx is not installed.
        MissingFileError: If a file with weights is missing.
        InputError: If the file is damaged, names weights outside its folder, or is no classifier
            with one floating-point input.
    """
    try:
        import onnx
        import onnx.inliner
    except ImportError as error:
        raise MissingLibraryError(f"{path} needs onnx: pip install 'minnorm[onnx]'") from error
    try:
        proto: Any = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # a damaged file raises errors of several kinds
        raise InputError(
            f"{path} cannot be read as ONNX ({one_line(error)}): it is damaged, or no ONNX file."
        ) from error
    digest = hashlib.sha256(path.read_bytes())
    for file in _external_files(proto, path):
        digest.update(file.read_bytes())
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:  # of a file that is too short, for example
        raise InputError(f"{path}: its weights cannot be read ({one_line(error)}).") from error
    if proto.functions:  # that the file defines
        proto = onnx.inliner.inline_local_functions(proto)
    given = _only_input(proto, path)
    batch, shape = _sizes(given)
    scores, unused = _scores(proto, path, output)
    name, activation = _without_last_layers(proto, scores)
    _check_output(path, scores, name)
    _cut(proto, name)
    kinds = [node.op_type for node in proto.graph.node]
    if "DynamicQuantizeLinear" in kinds:  # it scales by the largest value of the whole batch
        batch = batch or 1
    return Graph(
        proto=proto,
        input=given.name,
        batch=batch,
        shape=shape,
        dtype=_dtype(given, path),
        output=name,
        activation=activation,
        quantizing=next((kind for kind in kinds if kind in _QUANTIZING), ""),
        unused=unused,
        digest=digest.hexdigest(),
    )


def _external_files(proto: Any, path: Path) -> list[Path]:
    """Return the files that hold weights of a graph; refuse those outside of its folder."""
    folder = path.parent.resolve()
    found = set()
    nodes = [node for function in proto.functions for node in function.node]
    for tensor in (*_tensors(proto.graph), *_tensors_of(nodes)):
        for entry in tensor.external_data:
            if entry.key == "location":
                file = (folder / entry.value).resolve()
                if not file.is_relative_to(folder):
                    raise InputError(
                        f"{path} is refused: it names a file outside of its folder, "
                        f"{entry.value!r}, for its weights. Save it again with its weights."
                    )
                if not file.is_file():
                    raise MissingFileError(
                        f"{path} keeps its weights in {file.name!r}, and there is no such file "
                        "beside it. Copy it there, or save the model with its weights."
                    )
                found.add(file)
    return sorted(found)


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield all constant tensors of a graph and of those inside of it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _tensors_of(graph.node)


def _tensors_of(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _only_input(proto: Any, path: Path) -> Any:
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise InputError(
            f"{path} has {len(inputs)} inputs ({names}); expected one, a batch of samples. To fix "
            f"the others, {_WRAP}."
        )
    return inputs[0]


def _dtype(given: Any, path: Path) -> Any:
    """Return the dtype of an input."""
    import onnx

    tensor = given.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
    if kind not in _DTYPES:
        advice = " for 8-bit images that it scales" if kind in ("UINT8", "INT8") else ""
        raise InputError(
            f"{path} takes inputs of type {kind.lower()}; expected floating-point numbers, which "
            f"attacks can change a little: {_WRAP}{advice}."
        )
    return _DTYPES[kind]


def _sizes(given: Any) -> tuple[int | None, tuple[int | None, ...] | None]:
    """Return the stated sizes of an input: that of the batch, and those of one sample."""
    tensor = given.type.tensor_type
    if not tensor.HasField("shape") or len(tensor.shape.dim) == 0:
        return None, None
    sizes = [one.dim_value if one.dim_value > 0 else None for one in tensor.shape.dim]
    return sizes[0], tuple(sizes[1:])


def _scores(proto: Any, path: Path, output: str | None) -> tuple[Any, tuple[str, ...]]:
    """Return the output with the scores, and the names of the others."""
    outputs = {value.name: value for value in proto.graph.output}
    if output is not None:
        name = choose(output, outputs, "output", f"of {path}")
    else:
        # Converters of scikit-learn write the label first, then the scores.
        candidates = [
            name for name, value in outputs.items() if len(outputs) == 1 or _may_be_scores(value)
        ]
        if len(candidates) != 1:
            raise InputError(
                f"{path} has {len(outputs)} outputs ({', '.join(outputs)}); name the one with the "
                f"scores of the classes: '{path}(output={next(iter(outputs), 'NAME')})'."
            )
        (name,) = candidates
    return outputs[name], tuple(other for other in outputs if other != name)


def _may_be_scores(value: Any) -> bool:
    """Return whether an output may hold scores: floating-point rows, or maps from class to score.

    Its shape may be unknown.
    """
    if value.type.WhichOneof("value") == "sequence_type":
        return True
    tensor = value.type.tensor_type
    rank = len(tensor.shape.dim) if tensor.HasField("shape") else 2
    return tensor.elem_type in _FLOATS and rank != 1


def _without_last_layers(proto: Any, scores: Any) -> tuple[str, str]:
    """Return the name of the logits, and the activation after them.

    What only changes the form of the scores is left out, and an activation that attacks do
    better without.
    """
    makers = {name: node for node in proto.graph.node for name in node.output}
    name = kept = scores.name
    while name in makers:
        node = makers[name]
        axis = next((one.i for one in node.attribute if one.name == "axis"), None)
        is_last = axis in (None, 1, -1) or node.op_type == "Sigmoid"
        if node.op_type in _ACTIVATIONS and is_last:
            return node.input[0], node.op_type
        if node.op_type == "ZipMap" or (node.op_type == "ArgMax" and axis in (1, -1)):
            kept = node.input[0]
        elif node.op_type not in ("Identity", "Cast", "Squeeze"):
            break
        name = node.input[0]
    return kept, ""


def _check_output(path: Path, scores: Any, name: str) -> None:
    """Refuse an output without scores, from which nothing was left out that had some."""
    is_map = scores.type.WhichOneof("value") != "tensor_type"
    if name == scores.name and (is_map or scores.type.tensor_type.elem_type not in _FLOATS):
        raise InputError(
            f"the output {scores.name!r} of {path} holds no scores, only classes: name another "
            f"output, or {_WRAP}(function, outputs='classes', classes=...)."
        )


def _cut(proto: Any, name: str) -> None:
    """Remove what the value of that name does not need; it becomes the only output."""
    import onnx

    graph = proto.graph
    needed, nodes = {name}, []
    for node in reversed(graph.node):  # each node comes after those that it needs
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(_names_in(node))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(nodes)]
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    graph.output.append(onnx.ValueInfoProto(name=name))


def _names_in(node: Any) -> Iterator[str]:
    """Yield the names of values that a node uses, also in graphs inside of it."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (value.name for value in graph.output)
            for inner in graph.node:
                yield from _names_in(inner)
