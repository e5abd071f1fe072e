"""What can be done to a module to make it faster; each gives a new module or classifier."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from minnorm.acceleration.accelerated import Classifier


def folded(module: nn.Module, example: Tensor) -> nn.Module | None:
    """Gives the module with each batch norm that follows a convolution or linear layer folded in.

    Args:
        module: In evaluation mode.
        example: Inputs on which both have to agree.

    Returns:
        `None` where there is nothing to fold, the module cannot be traced, or the two differ.
    """
    before = _batch_norms(module)
    if before == 0:
        return None
    try:
        fused = _fused(copy.deepcopy(module))
        agree = all(_agree(fused(part), module(part)) for part in (example, example[:1]))
    except Exception:  # whatever a user's module does when parts of it are replaced
        return None
    return fused if agree and _batch_norms(fused) < before else None


def _fused(module: nn.Module) -> nn.Module:
    """Folds in the whole module, or else, where it cannot be traced, in each part of it."""
    if _batch_norms(module) == 0:
        return module
    try:
        graph = _Tracer().trace(module)
    except Exception:  # how a module fails to be traced is up to what it does
        for name, part in module.named_children():
            setattr(module, name, _fused(part))
        return module
    traced = fx.GraphModule(module, graph)
    for node in list(graph.nodes):
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        layer, norm = (traced.get_submodule(str(one.target)) for one in (before, node))
        if not isinstance(norm, _BatchNorm) or norm.running_mean is None:
            continue
        if isinstance(layer, _ConvNd) and not layer.transposed:
            fused: nn.Module = fuse_conv_bn_eval(layer, norm)
        elif isinstance(layer, nn.Linear):
            fused = fuse_linear_bn_eval(layer, norm)
        else:
            continue
        traced.set_submodule(str(before.target), fused)
        node.replace_all_uses_with(before)
        graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


class _Tracer(fx.Tracer):
    """Takes layers as they are, those derived from PyTorch's too."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        layers = (_ConvNd, nn.Linear, _BatchNorm)
        return isinstance(m, layers) or super().is_leaf_module(m, module_qualified_name)


def _batch_norms(module: nn.Module) -> int:
    return sum(isinstance(part, _BatchNorm) for part in module.modules())


def _agree(logits: Tensor, expected: Tensor) -> bool:
    tolerance = 1e3 * torch.finfo(expected.dtype).eps * float(expected.abs().max())
    return bool(torch.allclose(logits, expected, rtol=0, atol=tolerance))


def channels_last(module: nn.Module) -> Classifier:
    """Gives a classifier that holds images, and the weights of convolutions, channels last.

    The module is changed.
    """
    laid_out = module.to(memory_format=torch.channels_last)

    def classify(inputs: Tensor) -> Tensor:
        logits: Tensor = laid_out(inputs.contiguous(memory_format=torch.channels_last))
        return logits

    return classify


def autocast(classifier: Classifier, device: str) -> Classifier:
    """Gives a classifier that casts what it can to bfloat16, layer by layer."""

    def classify(inputs: Tensor) -> Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = classifier(inputs)
        return logits.to(inputs.dtype)

    return classify


def in_bfloat16(module: nn.Module, wrap: Callable[[nn.Module], Classifier]) -> Classifier:
    """Gives a classifier whose weights and activations are bfloat16; the module is changed."""
    classifier = wrap(module.to(torch.bfloat16))

    def classify(inputs: Tensor) -> Tensor:
        return classifier(inputs.to(torch.bfloat16)).to(inputs.dtype)

    return classify
