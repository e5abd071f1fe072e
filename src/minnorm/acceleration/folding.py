"""Folding batch norms into the layers before them."""

import copy
import threading
from collections import Counter

from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from minnorm.acceleration.agreement import agree

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

_tracing = threading.Lock()  # `fx` changes `nn.Module` itself while it traces


def fold_batch_norms(module: nn.Module, example: Tensor) -> nn.Module | None:
    """Fold each batch norm that follows a convolution or a linear layer into that layer.

    Layers that may do more than their class says stay as they are: derived classes, layers with
    hooks, and layers that are used twice.

    Args:
        module: A module in evaluation mode; it does not change.
        example: Inputs on which the result must agree with the module, see `agree`.

    Returns:
        The folded module; `None` if nothing can be folded, or if the two differ.
    """
    before = _batch_norms(module)
    if before == 0:
        return None
    try:
        with _tracing:
            fused = _fused(copy.deepcopy(module))
        same = _batch_norms(fused) < before and agree(fused, module, example)
    except Exception:  # a user's module may raise anything when parts of it are replaced
        return None
    return fused if same else None


def _fused(module: nn.Module) -> nn.Module:
    """Fold in the whole module or, if it cannot be traced, in each part of it."""
    if _batch_norms(module) == 0:
        return module
    try:
        graph = _Tracer().trace(module)
    except Exception:  # a user's module may fail in any way when it is traced
        for name, part in module.named_children():
            setattr(module, name, _fused(part))
        return module
    traced = fx.GraphModule(module, graph)
    uses = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in list(graph.nodes):
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        if uses[before.target] > 1 or uses[node.target] > 1:
            continue
        pair = _joined(*(traced.get_submodule(str(one.target)) for one in (before, node)))
        if pair is None:
            continue
        traced.set_submodule(str(before.target), pair)
        node.replace_all_uses_with(before)
        graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _joined(layer: nn.Module, norm: nn.Module) -> nn.Module | None:
    """Return one layer that replaces a layer and the batch norm after it; `None` if unsafe."""
    if not isinstance(norm, _BatchNorm) or type(norm) not in _NORMS or norm.running_mean is None:
        return None
    if _hooked(layer) or _hooked(norm):
        return None
    if isinstance(layer, _ConvNd) and type(layer) in _CONVOLUTIONS:
        return fuse_conv_bn_eval(layer, norm)
    if type(layer) is nn.Linear and norm.affine:
        return fuse_linear_bn_eval(layer, norm)
    return None


def _hooked(module: nn.Module) -> bool:
    return any(
        (
            module._forward_hooks,
            module._forward_pre_hooks,
            module._backward_hooks,
            module._backward_pre_hooks,
        )
    )


class _Tracer(fx.Tracer):
    """A tracer that does not trace into layers, even of classes derived from PyTorch's."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        layers = (_ConvNd, nn.Linear, _BatchNorm)
        is_opaque = getattr(m, "is_opaque", False) is True  # a `StraightThrough`
        return (
            isinstance(m, layers) or is_opaque or super().is_leaf_module(m, module_qualified_name)
        )


def _batch_norms(module: nn.Module) -> int:
    return sum(isinstance(part, _BatchNorm) for part in module.modules())
