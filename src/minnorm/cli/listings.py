"""The commands that list or show data sets, models and attacks, or fetch data sets."""

from typing import Annotated

import typer
from rich.table import Column, Table

from minnorm.cli.console import messages, output
from minnorm.cli.model_export import export

data = typer.Typer(help="List, show and fetch data sets.", no_args_is_help=True)
model = typer.Typer(help="List and export models.", no_args_is_help=True)
model.command("export")(export)
attack = typer.Typer(help="List attacks.", no_args_is_help=True)


def _table(*names: str, caption: str | None = None) -> Table:
    """Return a table that cuts off nothing in a narrow terminal."""
    return Table(*(Column(name, overflow="fold") for name in names), caption=caption)


@data.command("list")
def list_data() -> None:
    """List the data sets that can be fetched, and the cache folder."""
    from minnorm.data import CATALOGUE, DATA_FORMS, cache_folder, is_cached

    table = _table("name", "description", "cached", caption=f"cache: {cache_folder()}")
    table.add_row("mnist-sample", "the first 1,000 MNIST test images", "shipped")
    for name, entry in CATALOGUE.items():
        table.add_row(name, entry.description, "yes" if is_cached(name) else "no")
    output.print(table)
    output.print(f"Forms of a data spec: {DATA_FORMS}")


@data.command("show")
def show_data(
    spec: Annotated[
        str, typer.Argument(metavar="SPEC", help="A data spec, for example mnist or folder:PATH.")
    ],
) -> None:
    """Show the size of a data set, the values of its inputs, and the name of each label."""
    from minnorm.data import description, load_data

    for name, value in description(load_data(spec)).items():
        output.print(f"{name}: {value}", soft_wrap=True)


@data.command("fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `minnorm data list`.")],
    force: Annotated[bool, typer.Option("--force", help="Fetch it even if it is cached.")] = False,
) -> None:
    """Fetch a data set into the cache."""
    from minnorm.data import fetch

    with messages.status(f"fetching {name}"):
        folder = fetch(name, force=force)
    output.print(f"{name}: {folder}", soft_wrap=True)


@model.command("list")
def list_models() -> None:
    """List the networks shipped with the package, and the forms of a model spec."""
    from minnorm.models import MODEL_FORMS, zoo_cards

    caption = "gradients: computed by attacks during training, per training image"
    table = _table("spec", "architecture", "trained on", "gradients", "accuracy", caption=caption)
    for name, card in zoo_cards().items():
        accuracies = {**card.accuracy, **card.robust_accuracy}
        lines = [f"{what}: {100 * value:.2f} %" for what, value in accuracies.items()]
        spent = "" if card.gradients_per_image is None else f"{card.gradients_per_image:.0f}"
        table.add_row(f"zoo:{name}", card.architecture, card.data, spent, "\n".join(lines))
    output.print(table)
    output.print(f"Forms of a model spec: {MODEL_FORMS}")


@attack.command("list")
def list_attacks() -> None:
    """List the attacks, what they need of a model, and their parameters."""
    from minnorm.attacks import ENTRIES, attack_parameters

    caption = (
        "needs: the gradients of the model, only its scores (logits), or only its decisions "
        "(predicted classes). Combinations need what their attacks need."
    )
    table = _table("attack", "needs", "parameters", "description", caption=caption)
    for name, (summary, parameters) in attack_parameters().items():
        needed = ENTRIES[name].access if name in ENTRIES else ""
        table.add_row(name, needed, ", ".join(parameters), summary)
    output.print(table)
