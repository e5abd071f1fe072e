"""The command `model export`."""

from pathlib import Path
from typing import Annotated

import typer

from minnorm.cli.console import messages, output
from minnorm.cli.options import Model, Trust
from minnorm.errors import InputError


def export(
    model: Model,
    *,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="onnx|pt2|safetensors",
            help="The format. Default: the ending of --out.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file. Default: the name of the model, in this folder.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE,SIZE,...",
            help="The shape of one input, for example 3,224,224. Default: that of the model.",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data whose first samples check the file. Default: random inputs."),
    ] = None,
    trust: Trust = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if there is one.")
    ] = False,
) -> None:
    """Write MODEL to a file of another format, and check that both return the same logits.

    onnx: for other runtimes; takes batches of any size. pt2: a program of torch.export, which needs
    no Python code of the network. safetensors: the weights and the name of their network.
    """
    from minnorm.data import load_data
    from minnorm.models import export as exports
    from minnorm.models import load_model
    from minnorm.models.load import architecture_of

    path = exports.path_for(model, out, file_format)
    exports.check_new(path, overwrite=force)
    with messages.status(f"exporting {model}"):
        loaded = load_model(model, trust=trust)
        if data is None:
            inputs = exports.random_inputs(loaded, _sizes(shape))
        else:
            samples = load_data(data)
            inputs, _ = samples.batch(range(min(exports.SAMPLES, len(samples))))
        done = exports.export_model(
            loaded,
            path,
            inputs,
            architecture=architecture_of(model, loaded),
            overwrite=force,
        )
    sizes = ", ".join(str(size) for size in done.input_shape)
    output.print(f"{path}: inputs [batch, {sizes}] to logits [batch, {done.classes}]")
    output.print(
        f"checked: on {done.samples} inputs, logits differ by at most {done.difference:.2g}"
    )


def _sizes(shape: str | None) -> tuple[int, ...] | None:
    """Return the shape that a text such as `3,224,224` names."""
    if shape is None:
        return None
    parts = shape.replace("x", ",").strip("()[] ").split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise InputError(
            f"--shape {shape}: expected the sizes of one input without the batch, for example "
            "3,224,224."
        )
    return tuple(int(part) for part in parts)
