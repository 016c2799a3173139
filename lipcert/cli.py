"""The command line: commands are found in their folder, arguments are theirs."""

from importlib import import_module
from importlib.metadata import version
from pkgutil import iter_modules
from typing import Annotated

import typer

from lipcert import commands

app = typer.Typer(
    name="lipcert",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Proved bounds on how far a compressed neural network can drift from its original.",
)
for _module in iter_modules(commands.__path__):
    _found = import_module(f"{commands.__name__}.{_module.name}")
    app.command(name=_module.name)(_found.command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lipcert {version('lipcert')}")
        raise typer.Exit


@app.callback()
def about(
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Hold the options of no command."""


def main() -> None:
    """The installed command."""
    app()
