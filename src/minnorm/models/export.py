"""Models written to files of other formats, each file checked against the model."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from minnorm import specs
from minnorm.access import access_of
from minnorm.errors import InputError, MissingLibraryError, one_line
from minnorm.files import named_by, write_atomically
from minnorm.logits import beyond_rounding, logit_sizes
from minnorm.models.architectures import network_of
from minnorm.models.normalized import first_tensor_options
from minnorm.models.programs import load_exported
from minnorm.models.recognition import MODEL_FILES
from minnorm.models.weights import load_weights, save_weights

Format = Literal["onnx", "pt2", "safetensors"]
"""ONNX, a program of `torch.export`, or weights with the spec of their architecture."""

FORMATS: tuple[Format, ...] = get_args(Format)

SAMPLES = 8
"""How many inputs check a file."""

_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 6e-2}
"""The largest difference of logits, relative to the largest one: other kernels round otherwise."""

_Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Export:
    """A model that was exported.

    Attributes:
        path: The file.
        input_shape: The shape of one input.
        classes: The number of classes.
        samples: How many inputs the file was checked on.
        difference: The largest difference between logits of the file and of the model.
    """

    path: Path
    input_shape: tuple[int, ...]
    classes: int
    samples: int
    difference: float


def export_model(
    model: nn.Module,
    path: Path,
    inputs: Tensor,
    *,
    architecture: str | None = None,
    overwrite: bool = False,
) -> Export:
    """Write a model to a file, and check that the file returns the logits of the model.

    ONNX files and exported programs take batches of any size. A file that fails the check is not
    kept.

    Args:
        model: The model, in evaluation mode.
        path: The file; its ending is one of `FORMATS`.
        inputs: Inputs for the check, `[b *d]`, at least two; converted to the dtype of the model.
        architecture: The spec from which `build` makes the model; required for safetensors.
        overwrite: Whether a file of this name may be replaced.

    Raises:
        InputError: If the model cannot be exported, the file exists, or its logits differ.
        MissingLibraryError: If ONNX is not installed.
        OSError: If the file cannot be written.
    """
    file_format = format_of(path)
    check_new(path, overwrite=overwrite)
    if getattr(model, "training", False):
        raise InputError("the model is in training mode: call model.eval() before the export.")
    if access_of(model) != "gradients":
        raise InputError("the model can only be predicted: there is no network to export.")
    if len(inputs) < 2:
        raise InputError(f"expected at least 2 inputs for the check, got {len(inputs)}.")
    if file_format == "safetensors" and architecture is None:
        raise InputError(
            "safetensors files hold weights of a network that minnorm can build, and this model "
            "names none: use --format pt2, or name the network after the weights, "
            "'FILE + ARCHITECTURE'."
        )
    dtype, device = first_tensor_options(model)
    inputs = inputs.to(device, dtype)
    part = inputs
    try:
        expected = _logits(model, inputs)
        part = inputs[:1]  # some models and programs take batches of one size only
        _logits(model, part)
    except InputError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise InputError(
            f"the model cannot take inputs of shape {list(part.shape)} ({inputs.dtype}): "
            f"{one_line(error)}. "
            + (
                f"It takes batches of {len(inputs)}: rewrite it for batches of any size."
                if part is not inputs
                else "Name the shape of one input with --shape, or data with --data."
            )
        ) from error
    differences: list[float] = []

    def write(scratch: Path) -> None:
        read = _write(model, scratch, inputs, file_format, architecture)
        differences.append(_difference(read, inputs, expected))

    with named_by("--out", path):
        write_atomically(path, write)
    shape = tuple(inputs.shape[1:])
    return Export(path, shape, expected.shape[1], len(inputs), differences[0])


def path_for(spec: str, out: Path | None, file_format: str | None) -> Path:
    """Return the file that a model is exported to; its ending is one of `FORMATS`.

    Args:
        spec: The spec of the model, whose name the file has by default.
        out: The file; `None` for the default.
        file_format: One of `FORMATS`; `None` for the ending of `out`.

    Raises:
        InputError: If there is neither, the format is unknown, or the two differ.
    """
    if file_format is None:
        if out is None:
            raise InputError(f"name a format or a file: --format {'|'.join(FORMATS)}, --out FILE.")
        format_of(out)
        return out
    chosen = specs.choose(file_format.lower(), FORMATS, "format")
    if out is None:
        head = specs.parse(spec.partition("+")[0]).head
        name = Path(head.rpartition(":")[2]).name
        is_file = Path(name).suffix.lower() in MODEL_FILES
        return Path(f"{Path(name).stem if is_file else name}.{chosen}")
    if out.suffix != f".{chosen}":
        raise InputError(f"--out {out}: expected the ending .{chosen} of --format {chosen}.")
    return out


def format_of(path: Path) -> Format:
    """Return the format that the ending of a file names.

    Raises:
        InputError: If it names none.
    """
    for known in FORMATS:
        if path.suffix == f".{known}":
            return known
    raise InputError(f"{path}: expected a file that ends in .{', .'.join(FORMATS)}.")


def check_new(path: Path, *, overwrite: bool) -> None:
    """Check that a file can be written.

    Raises:
        InputError: If its folder does not exist, or the file does and may not be replaced.
    """
    if not path.parent.is_dir():
        raise InputError(f"cannot write {path}: the folder {path.parent} does not exist.")
    if path.is_dir() or (path.exists() and not overwrite):
        raise InputError(
            f"{path} exists already: name another file with --out, or replace it with --force in "
            "the shell, overwrite=True in Python."
        )


def random_inputs(model: nn.Module, shape: tuple[int, ...] | None) -> Tensor:
    """Return inputs in 0..1 for a model, `[8 *d]`; the same ones each time.

    Args:
        model: The model.
        shape: The shape of one input; `None` for the one that the model states.

    Raises:
        InputError: If the model states none.
    """
    shape = shape or _stated_shape(model)
    if shape is None:
        raise InputError(
            "the shape of the inputs of this model is not known: write it, for example "
            "--shape 3,224,224, or name data with --data."
        )
    generator = torch.Generator().manual_seed(0)
    return torch.rand(SAMPLES, *shape, generator=generator)


def _stated_shape(model: nn.Module) -> tuple[int, ...] | None:
    """Return the shape of one input of a network of this package or of timm, or of a program."""
    network: Any = network_of(model)
    shape = getattr(network, "input_shape", None)
    if shape is None and isinstance(getattr(network, "pretrained_cfg", None), dict):
        shape = network.pretrained_cfg.get("input_size")
    return tuple(int(size) for size in shape) if isinstance(shape, list | tuple) else None


def _write(
    model: nn.Module, path: Path, inputs: Tensor, file_format: Format, architecture: str | None
) -> _Function:
    """Write a model to a file, and return the function that the file holds."""
    if file_format == "safetensors":
        assert architecture is not None  # noqa: S101 - checked before
        save_weights(model, architecture, path)
        dtype, device = first_tensor_options(model)
        return load_weights(path, trust=True).to(device, dtype).eval()
    if isinstance(network_of(model), torch.jit.ScriptModule):
        raise InputError(
            f"TorchScript cannot be exported to {file_format}: export the PyTorch model that it "
            "was made from."
        )
    try:
        return (_write_program if file_format == "pt2" else _write_onnx)(model, path, inputs)
    except InputError:
        raise
    except Exception as error:  # PyTorch raises errors of many kinds for what it cannot export
        raise InputError(
            f"the model cannot be exported to {file_format} with a batch of any size: "
            f"{one_line(error)}"
        ) from error


def _write_program(model: nn.Module, path: Path, inputs: Tensor) -> _Function:
    with torch.no_grad():
        program = torch.export.export(model, (inputs,), dynamic_shapes=_any_batch())
    with path.open("wb") as file, warnings.catch_warnings():
        # PyTorch warns of weights that are not contiguous, as those of channels-last convolutions.
        warnings.simplefilter("ignore", UserWarning)
        torch.export.save(program, file)
    return load_exported(path, trust=True)


def _write_onnx(model: nn.Module, path: Path, inputs: Tensor) -> _Function:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingLibraryError(
            "the export to ONNX needs onnx and onnxscript: pip install 'minnorm[export]'"
        ) from error
    program = torch.onnx.export(
        model,
        (inputs,),
        input_names=["inputs"],
        output_names=["logits"],
        dynamic_shapes=_any_batch(),
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # noqa: S101 - only the older exporter returns None
    program.save(str(path), external_data=False)
    return partial(_run_onnx, _onnx_runner(path))


def _any_batch() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim("batch")},)


def _onnx_runner(path: Path) -> Any:
    """Return what runs an ONNX file: onnxruntime if it is installed, else onnx, which is slow."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        return ReferenceEvaluator(str(path))
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _run_onnx(runner: Any, inputs: Tensor) -> Tensor:
    (logits,) = runner.run(["logits"], {"inputs": inputs.detach().cpu().numpy()})
    return torch.as_tensor(logits)


def _difference(function: _Function, inputs: Tensor, expected: Tensor) -> float:
    """Return the largest difference of logits, for the whole batch and for its first input."""
    try:
        found = [_logits(function, part) for part in (inputs, inputs[:1])]
    except Exception as error:  # whatever runs the file raises errors of many kinds
        raise InputError(
            f"the file cannot be used, so it was not kept: {one_line(error)}"
        ) from error
    share = _TOLERANCES.get(expected.dtype, 1e-4)
    largest, same = 0.0, not bool(expected.isnan().any())
    for logits, right in zip(found, (expected, expected[:1]), strict=True):
        if logits.shape != right.shape:
            raise InputError(
                f"the file returns outputs of shape {list(logits.shape)} instead of "
                f"{list(right.shape)}, so it was not kept."
            )
        values, wanted = logits.to(right.dtype).nan_to_num(), right.nan_to_num()
        largest = max(largest, float((values - wanted).abs().max()))
        same = same and not bool(beyond_rounding(logits, right, share, among=expected).any())
    if not same:
        tolerance = share * float(logit_sizes(expected).max())
        raise InputError(
            f"the logits of the file and those of the model differ by up to {largest:.3g}, more "
            f"than rounding explains ({tolerance:.3g}), so the file was not kept. Does the model "
            "change from call to call, or depend on the other inputs of a batch?"
        )
    return largest


def _logits(function: _Function, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        logits = function(inputs)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise InputError(f"expected logits [b classes], got {_described(logits)}.")
    return logits.detach().cpu()


def _described(output: Any) -> str:
    return f"shape {list(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
