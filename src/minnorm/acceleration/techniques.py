"""What can be done to a module to make it faster; each gives a new module or classifier."""

import copy
import threading
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from minnorm.acceleration.accelerated import Classifier
from minnorm.acceleration.timing import gradients
from minnorm.geometry import rows

Wrap = Callable[[nn.Module], Classifier]


_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)

_tracing = threading.Lock()  # `fx` changes `nn.Module` itself while it traces


def folded(module: nn.Module, example: Tensor) -> nn.Module | None:
    """Gives the module with each batch norm that follows a convolution or linear layer folded in.

    Layers of which it is not known what else they do are left alone: derived classes, layers with
    hooks, layers that are used twice.

    Args:
        module: In evaluation mode.
        example: Inputs on which both have to agree, see `agree`.

    Returns:
        `None` where there is nothing to fold, or the two differ.
    """
    before = _batch_norms(module)
    if before == 0:
        return None
    try:
        with _tracing:
            fused = _fused(copy.deepcopy(module))
        same = _batch_norms(fused) < before and agree(fused, module, example)
    except Exception:  # whatever a user's module does when parts of it are replaced
        return None
    return fused if same else None


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
    """Gives one layer for a layer and the batch norm behind it, where that is known to be right."""
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
    """Takes layers as they are, those derived from PyTorch's too."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        layers = (_ConvNd, nn.Linear, _BatchNorm)
        return isinstance(m, layers) or super().is_leaf_module(m, module_qualified_name)


def _batch_norms(module: nn.Module) -> int:
    return sum(isinstance(part, _BatchNorm) for part in module.modules())


def agree(fast: Classifier, exact: Classifier, example: Tensor) -> bool:
    """Tells whether two classifiers give the same logits and gradients, but for rounding.

    Logits alone do not tell: what is left out of a traced module may be its way of giving
    gradients. Single samples may differ in their gradients, at a kink.

    Args:
        fast: What takes the place of the other.
        exact: The other.
        example: Some inputs.
    """
    for part in (example, example[:1]):
        logits, expected = fast(part), exact(part)
        # A GPU may multiply in TensorFloat-32.
        share = 1e3 * torch.finfo(expected.dtype).eps if part.device.type == "cpu" else 1e-2
        if not torch.allclose(logits, expected, rtol=0, atol=share * float(expected.abs().max())):
            return False
    found, wanted = (rows(gradients(one, example)) for one in (fast, exact))
    errors = torch.linalg.vector_norm(found - wanted, dim=1)
    return bool((errors <= _ERROR * torch.linalg.vector_norm(wanted, dim=1)).double().mean() >= 0.5)


_ERROR = 0.05
"""How far gradients may be off, in units of their norm."""


def channels_last(module: nn.Module) -> Classifier:
    """Gives a classifier that holds images, and the weights of convolutions, channels last.

    The module is changed.
    """
    laid_out = module.to(memory_format=torch.channels_last)

    def classify(inputs: Tensor) -> Tensor:
        logits: Tensor = laid_out(inputs.contiguous(memory_format=torch.channels_last))
        return logits

    return classify


def autocast(module: nn.Module, wrap: Wrap, example: Tensor) -> Classifier:
    """Gives a classifier that casts what it can to bfloat16, layer by layer, but for the first one.

    The module is changed.

    Args:
        module: In float32.
        wrap: Makes a classifier of the module.
        example: Inputs, to see which layer is the first.
    """
    device = example.device.type
    first, _ = _first_layer(module, example)
    if first is not None:
        module.set_submodule(first, _Exact(module.get_submodule(first), device))
    classifier = wrap(module)

    def classify(inputs: Tensor) -> Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = classifier(inputs)
        return logits.to(inputs.dtype)

    return classify


def in_bfloat16(module: nn.Module, wrap: Wrap, example: Tensor) -> Classifier:
    """Gives a classifier whose weights and activations are bfloat16 behind its first layer.

    The module is changed. See `autocast` for the arguments.
    """
    first, before = _first_layer(module, example)
    for part in module.modules():
        if part not in before:
            part._apply(_to_bfloat16, recurse=False)  # type: ignore[no-untyped-call]
    if first is not None:
        module.set_submodule(first, _Exact(module.get_submodule(first), example.device.type))
    classifier = wrap(module)

    def classify(inputs: Tensor) -> Tensor:
        given = inputs if first is not None else inputs.to(torch.bfloat16)
        return classifier(given).to(inputs.dtype)

    return classify


def _to_bfloat16(values: Tensor) -> Tensor:
    return values.to(torch.bfloat16) if values.is_floating_point() else values


class _Exact(nn.Module):
    """A layer that computes in float32 and gives bfloat16.

    The first layer is one: in bfloat16 an image has steps of 1/256, which hide perturbations that
    are as small as those of an adversarial.
    """

    def __init__(self, layer: nn.Module, device: str) -> None:
        super().__init__()
        self.layer = layer
        self._device = device

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(self._device, enabled=False):
            result: Tensor = self.layer(inputs.float())
        return result.to(torch.bfloat16)


def _first_layer(module: nn.Module, example: Tensor) -> tuple[str | None, set[nn.Module]]:
    """Finds the layer that sees the inputs first.

    Returns:
        Its name, `None` where there is none, and it and all modules that began before it ended.
    """
    names = {part: name for name, part in module.named_modules()}
    called: list[nn.Module] = []
    first: list[nn.Module] = []

    def note(part: nn.Module, _: object) -> None:
        if first:
            return
        called.append(part)
        if isinstance(part, (_ConvNd, nn.Linear)):
            first.append(part)

    hooks = [part.register_forward_pre_hook(note) for part in names]
    try:
        module(example[:1])
    finally:
        for hook in hooks:
            hook.remove()
    if not first or not names[first[0]]:
        return None, set()
    # What is inside a layer that is replaced by a whole is part of it.
    return names[first[0]], {*called, *first[0].modules()}
