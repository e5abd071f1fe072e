"""Experiments of the paper: what a file of `experiments/` may say, and how it is read at a scale.

A file is data: settings (a network, images, attacks), the figures of the paper beside them, and its
claims. Values may depend on the scale, see `minnorm.paper.scales.at_scale`.

Beyond the table or figure that it is: `uses` takes the settings of other experiments, so that
figures draw the runs of the tables. A setting may name one of another experiment: with `runs_of`
its rows are from the other's runs, with `like` it has runs of its own on the same network. A
setting or a row may name an acceleration of its own, so that a run can be repeated exactly.
"""

import importlib.resources
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from minnorm import specs
from minnorm.errors import InputError
from minnorm.evaluation.metrics import Over
from minnorm.paper.claims import Claim
from minnorm.paper.scales import Scale, at_scale, read_scale
from minnorm.training.recipe_text import parse_yaml

_FOLDER = Path(str(importlib.resources.files("minnorm.paper") / "experiments"))

_OptionsT = TypeVar("_OptionsT", bound=BaseModel)

_KINDS_OF_NAMES = ("table", "figure")
"""What the names of the experiments begin with that come first."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PaperFigures(_Entry):
    """The figures of a row in the paper; those that it does not have are `None`.

    Attributes:
        success, hardest_success, accuracy: In percent. Accuracies are by radius.
        mean, median, hardest_mean: L2 norms; of the hardest target ('least likely').
        gradients: Gradients, on average over the batch.
        seconds: Time for all images.
    """

    success: float | None = None
    mean: float | None = None
    median: float | None = None
    gradients: float | None = None
    seconds: float | None = None
    accuracy: dict[float, float] = Field(default_factory=dict)
    hardest_success: float | None = None
    hardest_mean: float | None = None


class AttackRow(_Entry):
    """A row: an attack.

    Attributes:
        name: Its name, in tables and in records.
        attack: Its spec.
        paper: The paper's figures, `None` if the paper lacks the row.
        apart: Whether it has a run directory of its own, for a row that takes days.
        data, batch_size, accelerate: Those of a row `apart`; by default those of the setting.
        note: What differs from the paper in this row.
    """

    name: str
    attack: str
    paper: PaperFigures | None = None
    apart: bool = False
    data: str | None = None
    batch_size: int | None = None
    accelerate: str | None = None
    note: str = ""


class Combined(_Entry):
    """The row `All`: the closest adversarial over several attacks.

    Attributes:
        over: The names of the rows.
        figures: The paper's figures.
    """

    over: tuple[str, ...]
    figures: PaperFigures | None = None


class Setting(_Entry):
    """A network, images, and the attacks on them: a group of rows.

    Attributes:
        name: Its name, for example `MNIST`; also that in `--model NAME=SPEC`.
        model: The spec of the network.
        data: The spec of the images.
        targets: `all`, `random:K`, or `None` for untargeted attacks.
        batch_size: Images attacked at once; `None` to choose by measuring.
        accelerate: How the network is accelerated, see `minnorm.evaluate`.
        differences: What is not comparable with the paper and why, a sentence each.
        attacks: The rows.
        combined: The row `All`, if there is one.
        keep: Whether the run directories keep the adversarials.
        over: The images of the statistics: `all`, where a misclassified one counts as a success at
            distance 0, or `correct`, as the paper's of ImageNet.
        install: What to install or fetch if the network or the images are missing.
        experiment: The experiment that it is a part of.
        runs_of: The setting of another experiment whose run directories have its rows; `None` if it
            has directories of its own.
    """

    name: str
    model: str
    data: str
    targets: str | None = None
    batch_size: int | None = None
    accelerate: str = "auto"
    differences: tuple[str, ...] = ()
    attacks: tuple[AttackRow, ...] = ()
    combined: Combined | None = None
    keep: bool = False
    over: Over = "all"
    install: str = ""
    experiment: str = ""
    runs_of: "Setting | None" = None

    def row_notes(self, rows: Collection[str]) -> tuple[str, ...]:
        """Return the notes of some rows, each text once, after the names of its rows."""
        found: dict[str, list[str]] = {}
        for row in self.attacks:
            if row.note and row.name in rows:
                found.setdefault(row.note, []).append(row.name)
        return tuple(f"{', '.join(names)}: {text}" for text, names in found.items())


class Use(_Entry):
    """Settings of another experiment.

    Attributes:
        experiment: Its name.
        settings: The names of the settings.
    """

    experiment: str
    settings: tuple[str, ...]


class Experiment(_Entry):
    """An experiment at a scale.

    Attributes:
        name: Its name, for example `table1`.
        scale: The scale at which it was read.
        title: A title.
        kind: What it does, see `minnorm.paper.kinds`.
        about: One or two sentences.
        columns: The columns of its table: success, mean, median (failures at the gray image),
            hardest (success and mean of the hardest target), accuracy, gradients, queries (forward
            passes), seconds.
        epsilons: The radii of the accuracies.
        settings: Its settings, those of other experiments first.
        claims: What the paper claims, and what this package claims.
        options: What its kind needs; checked by the kind.
    """

    name: str
    scale: Scale
    title: str
    kind: str
    about: str = ""
    columns: tuple[str, ...] = ()
    epsilons: tuple[Annotated[float, Field(ge=0)], ...] = ()
    uses: tuple[Use, ...] = ()
    settings: tuple[Setting, ...] = ()
    claims: tuple[Claim, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def replaceable(self) -> frozenset[str]:
        """The names of its settings, and of those of other experiments whose runs they have."""
        shared = (one.runs_of for one in self.settings)
        return frozenset(one.name for one in (*self.settings, *shared) if one is not None)

    def setting(self, name: str) -> Setting:
        """Return a setting by its name.

        Raises:
            InputError: If there is none.
        """
        named = {setting.name: setting for setting in self.settings}
        if not named:
            raise InputError(
                f"{self.name} has no setting {name!r}: its network and its images cannot be "
                f"replaced."
            )
        of = f"of {self.name} at the scale {self.scale}"
        return named[specs.choose(name, named, "setting", of)]


def experiment_names() -> tuple[str, ...]:
    """Return the names of all experiments: tables, figures, then the others."""
    return tuple(sorted((path.stem for path in _FOLDER.glob("*.yaml")), key=_rank))


def load_experiment(
    name: str,
    scale: Scale,
    *,
    models: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
) -> Experiment:
    """Read an experiment at a scale.

    Args:
        name: Its name.
        scale: The scale.
        models: Specs of other networks, by the name of the setting. That of another experiment,
            whose runs a setting has, stands for that setting as well.
        data: Specs of other images, in the same way; also those of the rows `apart`.

    Raises:
        InputError: If there is no such experiment, scale or setting.
    """
    specs.choose(name, experiment_names(), "experiment")
    content = dict(at_scale(_content(name), read_scale(scale)))
    models, data = dict(models or {}), dict(data or {})
    own = content.pop("settings", [])
    uses = content.pop("uses", [])
    try:
        uses = [Use(**one) for one in uses]
        settings = tuple(_setting(one, name, scale) for one in own)
        used = tuple(setting for use in uses for setting in _used(use, scale))
        experiment = Experiment(
            **content, name=name, scale=scale, uses=tuple(uses), settings=(*used, *settings)
        )
    except ValidationError as error:
        raise InputError(f"the experiment {name} cannot be read: {error}") from error
    return _replaced(experiment, models, data)


def options_of(experiment: Experiment, kind: type[_OptionsT]) -> _OptionsT:
    """Return the options of an experiment, checked.

    Args:
        experiment: The experiment.
        kind: What its kind needs.

    Raises:
        InputError: If they are not as described.
    """
    try:
        return kind.model_validate(experiment.options)
    except ValidationError as error:
        raise InputError(f"the options of {experiment.name} cannot be read: {error}") from error


def _setting(content: Mapping[str, Any], experiment: str, scale: Scale) -> Setting:
    """Return a setting, which may take what it does not say itself from that of another experiment.

    With `runs_of` it has the other's run directories, with `like` it has its own.
    """
    key = next((key for key in ("runs_of", "like") if key in content), None)
    if key is None:
        return Setting(**content, experiment=experiment)
    content = dict(content)
    place = content.pop(key)
    other = load_experiment(place["experiment"], scale).setting(place["setting"])
    rows = {row.name: row.model_dump(exclude={"paper", "note"}) for row in other.attacks}
    attacks = [{**rows[row["name"]], **row} for row in content["attacks"]]
    left_out = {"combined"} if key == "like" else {"combined", "differences"}
    shared = {
        **other.model_dump(exclude=left_out),
        "runs_of": other if key == "runs_of" else None,
    }
    return Setting(**{**shared, **content, "attacks": attacks, "experiment": experiment})


def _used(use: Use, scale: Scale) -> tuple[Setting, ...]:
    other = load_experiment(use.experiment, scale)
    return tuple(map(other.setting, use.settings))


def _replaced(
    experiment: Experiment, models: Mapping[str, str], data: Mapping[str, str]
) -> Experiment:
    """Return an experiment with other networks and images."""
    for name in {*models, *data} - experiment.replaceable:
        experiment.setting(name)  # raises the error
    settings = []
    for setting in experiment.settings:
        changed = setting
        if setting.runs_of is not None:
            changed = _with_others(changed, setting.runs_of.name, models, data)
            if changed != setting:
                other = _with_others(setting.runs_of, setting.runs_of.name, models, data)
                changed = changed.model_copy(update={"runs_of": other})
        own = _with_others(changed, setting.name, models, data)
        if own != changed:
            own = own.model_copy(update={"runs_of": None})
        settings.append(own)
    return experiment.model_copy(update={"settings": tuple(settings)})


def _with_others(
    setting: Setting, name: str, models: Mapping[str, str], data: Mapping[str, str]
) -> Setting:
    """Return a setting with the network and the images that are given for a name."""
    changes: dict[str, Any] = {}
    notes = []
    if models.get(name, setting.model) != setting.model:
        changes["model"] = models[name]
        notes.append(
            f"The network is not that of the experiment, {setting.model}, which the other notes "
            f"and the claims are about."
        )
    if data.get(name, setting.data) != setting.data:
        changes["data"] = data[name]
        notes.append(f"The images are not those of the experiment, {setting.data}.")
        changes["attacks"] = tuple(row.model_copy(update={"data": None}) for row in setting.attacks)
    if changes:
        changes["differences"] = (*notes, *setting.differences)
    return setting.model_copy(update=changes)


@cache
def _content(name: str) -> dict[str, Any]:
    """Return the plain values of a file."""
    path = _FOLDER / f"{name}.yaml"
    content: dict[str, Any] = parse_yaml(path.read_text(encoding="utf-8"), path.name)
    return content


def _rank(name: str) -> tuple[int, list[str | int]]:
    first = [kind for kind in _KINDS_OF_NAMES if re.fullmatch(rf"{kind}\d+", name)]
    place = _KINDS_OF_NAMES.index(first[0]) if first else len(_KINDS_OF_NAMES)
    return place, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
