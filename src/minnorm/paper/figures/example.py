"""The kind `example`: one targeted adversarial in detail, as in figure 1."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from minnorm import geometry, specs
from minnorm.attacks import load_attack
from minnorm.boxes import is_interval
from minnorm.data import Data, load_data
from minnorm.errors import InputError, MissingFileError, MissingLibraryError
from minnorm.evaluation.records import name_of_class
from minnorm.models import load_model
from minnorm.models.names import model_name
from minnorm.paper.experiment import Experiment, Setting, options_of
from minnorm.paper.figures.example_axes import Detail, draw_detail
from minnorm.paper.figures.files import write_figure
from minnorm.paper.measuring import Options, why_missing
from minnorm.paper.outcome import Outcome, Table
from minnorm.report.facts.pictures import magnification_of
from minnorm.report.figures.drawing import import_matplotlib
from minnorm.runtime import devices

_IMAGENET_CLASSES = 1000


class DetailOptions(BaseModel):
    """What an experiment of this kind says.

    Attributes:
        sample: The position of the image in the data.
        target: The target class, by its name or label.
        paper: What the paper has: the two classes and the norm, in words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample: int
    target: str | int
    paper: str = ""


def example(experiment: Experiment, options: Options) -> Outcome:
    """Attack one image, check the result with the network, and draw it."""
    import_matplotlib()
    own = options_of(experiment, DetailOptions)
    if len(experiment.settings) != 1 or len(experiment.settings[0].attacks) != 1:
        raise InputError(f"{experiment.name}: expected one setting with one attack.")
    setting = experiment.settings[0]
    try:
        detail = _attacked(setting, own, options)
    except (MissingFileError, MissingLibraryError) as error:
        missing = {setting.attacks[0].name: why_missing(error, setting)}
        return Outcome(experiment, numbers=_numbers(setting, missing))
    found = detail.adversarial_class == detail.target
    rows = [
        ("class before the attack", detail.clean_class),
        ("class after the attack", detail.adversarial_class),
        ("target class", detail.target),
        ("L2 norm of the perturbation", f"{detail.norm:.4f}"),
        ("largest change of a value", f"{detail.largest:.4f}"),
        ("magnification in the picture", f"{detail.magnification:g}"),
    ]
    if own.paper:
        rows.append(("in the paper", own.paper))
    row = setting.attacks[0]
    return Outcome(
        experiment=experiment,
        tables=(
            Table(
                title=f"{setting.name}: {model_name(setting.model)} on {setting.data}, "
                f"image {own.sample}, {row.attack}",
                columns=("", "value"),
                rows=tuple(rows),
                texts=2,
            ),
        ),
        figures=write_figure(
            options.folder(experiment), experiment.name, lambda: draw_detail(detail)
        ),
        notes=(*setting.differences, *(() if found else ("The attack has failed.",))),
        numbers={
            **_numbers(setting, {}),
            "norm": detail.norm,
            "largest": detail.largest,
            "classes": [detail.clean_class, detail.adversarial_class],
            "target": detail.target,
        },
    )


def _numbers(setting: Setting, missing: dict[str, str]) -> dict[str, Any]:
    """Return what `results.json` says of the setting.

    Args:
        setting: The setting.
        missing: Why its attack did not run, by the name of the row; empty if it did.
    """
    values = {"name": setting.name, "model": model_name(setting.model)}
    return {"settings": [{**values, "not_run": missing, "unfinished": {}}]}


def _attacked(setting: Setting, own: DetailOptions, options: Options) -> Detail:
    """Return the image, its adversarial, and what the network predicts for both."""
    data = load_data(setting.data)
    device = devices.default_device() if options.device is None else options.device
    model = load_model(setting.model, trust=options.trust).to(devices.parse_device(str(device)))
    if not 0 <= own.sample < len(data):
        raise InputError(f"sample={own.sample}: {setting.data} has {len(data):,} images.")
    inputs, _ = data.batch([own.sample])
    dtype, place = devices.dtype_and_device(model)
    inputs = inputs.to(place, dtype)
    clean, count = _predicted(model, inputs)
    names = _class_names(data, count)
    target = _label_of(own.target, names, count)
    bounds = data.bounds if data.bounds is not None else (0.0, 1.0)
    if not is_interval(bounds):
        raise InputError(f"{setting.data}: expected images with two numbers as bounds.")
    attack = load_attack(setting.attacks[0].attack)
    result = attack(model, inputs, torch.full_like(clean, target), targeted=True, bounds=bounds)
    adversarial, _ = _predicted(model, result.adversarials)
    before, after = inputs[0].double().cpu(), result.adversarials[0].double().cpu()
    perturbation = after - before
    return Detail(
        original=before,
        adversarial=after,
        bounds=bounds,
        clean_class=name_of_class(names, int(clean)),
        adversarial_class=name_of_class(names, int(adversarial)),
        target=name_of_class(names, target),
        norm=float(geometry.norms(perturbation[None])[0]),
        largest=float(perturbation.abs().max()),
        magnification=magnification_of(perturbation, bounds),
    )


def _predicted(model: nn.Module, inputs: Float[Tensor, "1 *d"]) -> tuple[Int64[Tensor, "1"], int]:
    """Return the predicted class of an image, and the number of classes."""
    with torch.no_grad():
        logits = model(inputs)
    return logits.argmax(1), logits.shape[1]


def _label_of(target: str | int, names: tuple[str, ...], count: int) -> int:
    """Return the label of a class that is given by its label or its name."""
    if isinstance(target, str) and names:
        return names.index(specs.choose(target, names, "class", "of the data"))
    if isinstance(target, int) and 0 <= target < count:
        return target
    raise InputError(f"target={target!r}: expected a class below {count}, or its name.")


def _class_names(data: Data, count: int) -> tuple[str, ...]:
    """Return the names of the classes: those of the data, or of ImageNet as torchvision has them.

    Folders of ImageNet have names such as `n02099429`, which say nothing.
    """
    if count != _IMAGENET_CLASSES:
        return data.classes
    try:
        from torchvision.models import ResNet18_Weights
    except ImportError:
        return data.classes
    return tuple(ResNet18_Weights.DEFAULT.meta["categories"])
