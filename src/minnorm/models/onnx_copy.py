"""Copies of ONNX graphs in PyTorch, compared with ONNX Runtime."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from minnorm.errors import one_line
from minnorm.logits import beyond_rounding
from minnorm.models.onnx_graph import Graph
from minnorm.models.onnx_session import Session, as_rows, fitted

_MOST_VALUES = 8
"""The most values that a layer returns."""

_TOLERANCES = {np.float64: 1e-9, np.float32: 1e-4, np.float16: 2e-2}
"""The largest difference of scores, relative to the largest one: other kernels round otherwise."""


def copy_of(graph: Graph, session: Session, probes: Tensor | None) -> tuple[nn.Module | None, str]:
    """Return a copy of a graph in PyTorch that returns what ONNX Runtime does.

    Args:
        graph: The graph.
        session: What runs it.
        probes: Inputs on which the two are compared; `None` to compare nothing.

    Returns:
        The copy, or `None` and the reason why there is none.
    """
    if graph.quantizing:
        return None, f"it is quantized ({graph.quantizing}), and rounding has no useful gradients"
    try:
        import onnx2pytorch
    except ImportError:
        return None, "onnx2pytorch is not installed (pip install 'minnorm[onnx]')"
    import onnx

    # It warns of domains of operators, and PyTorch of how it indexes: what it returns is compared.
    warnings.filterwarnings("ignore", category=UserWarning, module="onnx2pytorch")
    try:
        network = onnx2pytorch.ConvertModel(
            onnx.ModelProto.FromString(graph.proto.SerializeToString())
        )
    except Exception as error:  # for operators that it does not know, and others
        return None, f"onnx2pytorch cannot convert it ({one_line(error)})"
    candidates = [_traced(network.eval()), network]
    if graph.batch is not None:
        candidates += [_InBatches(candidate, graph.batch) for candidate in candidates]
    reason = ""
    for candidate in candidates:
        reason = "" if probes is None else _why_unlike(candidate, session, probes)
        if not reason:
            return candidate, ""
    return None, reason


def _traced(network: nn.Module) -> nn.Module:
    """Return a network that only calls its layers, if that is possible.

    Then `accelerate` can replace layers, and what converting a file left over is not kept.
    """
    try:
        whole = _OneInput(network)
        traced = fx.GraphModule(whole, _Tracer().trace(whole))
    except Exception:  # of a graph inside of a layer, for example
        return network
    traced.delete_all_unused_submodules()
    return traced.eval()


class _OneInput(nn.Module):
    """A network whose function takes any arguments, called with one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Any:
        return self.network(inputs)


class _Tracer(fx.Tracer):
    """A tracer that does not trace into layers, of which some return several values."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return module_qualified_name != "network"

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        values: Any = obj
        # The copy takes as many as the graph names, and no layer of a classifier returns more.
        return (values[number] for number in range(_MOST_VALUES))


class _InBatches(nn.Module):
    """A network that takes batches of one size, for batches of any size."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network = network
        self.size = size

    def forward(self, inputs: Tensor) -> Tensor:
        missing = -len(inputs) % self.size
        padded = torch.cat([inputs, inputs[-1:].expand(missing, *inputs.shape[1:])])
        outputs = [self.network(part) for part in torch.split(padded, self.size)]
        return torch.cat(outputs)[: len(inputs)]


def _why_unlike(network: nn.Module, session: Session, probes: Tensor) -> str:
    """Return how a copy differs from ONNX Runtime; empty if it does not, and has gradients."""
    try:
        variables = probes.clone().requires_grad_()
        output = network(fitted(variables, session.graph, session.name))
        (gradients,) = torch.autograd.grad(output.square().sum(), variables)
    except Exception as error:  # of many kinds
        return f"its copy in PyTorch fails ({one_line(error)})"
    if not gradients.any():
        return "its gradients are zero, as after a step that rounds"
    return difference(output.detach(), session.run(probes), session)


def difference(found: Any, expected: NDArray[Any], session: Session) -> str:
    """Return how outputs differ from those of ONNX Runtime; empty if by rounding at most.

    Args:
        found: What the copy returned.
        expected: What ONNX Runtime returned.
        session: What ran it.
    """
    rows = as_rows(found, len(expected), session.name).cpu()
    right = torch.from_numpy(expected).to(rows.dtype)
    if rows.shape != right.shape:
        return f"it returns shape {list(rows.shape)}, ONNX Runtime {list(right.shape)}"
    beyond = beyond_rounding(rows, right, _TOLERANCES[session.graph.dtype])
    if not beyond.any():
        return ""
    largest = float((rows.nan_to_num() - right.nan_to_num())[beyond].abs().max())
    return f"its outputs differ from those of ONNX Runtime by up to {largest:.3g}"
