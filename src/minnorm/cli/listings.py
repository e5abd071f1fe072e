"""The commands that list what there is, and the one that fetches data."""

from typing import Annotated

import typer
from rich.table import Table

from minnorm.cli.console import errors, output

data = typer.Typer(help="List and fetch data sets.", no_args_is_help=True)
model = typer.Typer(help="List models.", no_args_is_help=True)
attack = typer.Typer(help="List attacks.", no_args_is_help=True)


@data.command("list")
def list_data() -> None:
    """List the data sets that can be fetched, and where they are cached."""
    from minnorm.data import CATALOGUE, FORMS, cache_folder

    table = Table("name", "what", "cached", caption=f"cache: {cache_folder()}")
    table.add_row("mnist-sample", "the first 1,000 MNIST test images, shipped", "always")
    for name, entry in CATALOGUE.items():
        there = (cache_folder() / "data" / name / "card.json").exists()
        table.add_row(name, entry.description, "yes" if there else "no")
    output.print(table)
    output.print(f"Data specs: {FORMS}", markup=False, highlight=False)


@data.command("fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(help="A name that `minnorm data list` shows.")],
    force: Annotated[bool, typer.Option("--force", help="Fetch it again.")] = False,
) -> None:
    """Fetch a data set into the cache."""
    from minnorm.data import fetch

    with errors.status(f"fetching {name}"):
        folder = fetch(name, force=force)
    output.print(f"{name}: {folder}", markup=False, highlight=False, soft_wrap=True)


@model.command("list")
def list_models() -> None:
    """List the networks that are shipped, and the forms of model specs."""
    from minnorm.models import FORMS, zoo_cards

    caption = "gradients: what attacks took in training, for each image"
    table = Table("spec", "architecture", "trained on", "gradients", "accuracy", caption=caption)
    for name, card in zoo_cards().items():
        accuracies = {**card.accuracy, **card.robust_accuracy}
        lines = [f"{what}: {100 * value:.2f} %" for what, value in accuracies.items()]
        spent = "" if card.gradients_per_image is None else f"{card.gradients_per_image:.0f}"
        table.add_row(f"zoo:{name}", card.architecture, card.data, spent, "\n".join(lines))
    output.print(table)
    output.print(f"Model specs: {FORMS}", markup=False, highlight=False)


@attack.command("list")
def list_attacks() -> None:
    """List the attacks and their parameters."""
    from minnorm.attacks import attack_parameters

    table = Table("attack", "parameters", "what")
    for name, (summary, parameters) in attack_parameters().items():
        table.add_row(name, ", ".join(parameters), summary)
    output.print(table)
